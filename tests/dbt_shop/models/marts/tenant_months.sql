{{ config(pre_hook="select 1 as before_tenant_months") }}
select c.tenant, date_trunc('month', p.paid_on)::date as month,
       sum(p.amount) as amount, sum(p.amount) filter (where p.method = 'voucher') as vouchers
from {{ ref('stg_payments') }} p
join {{ ref('stg_orders') }} o using (order_id)
join {{ ref('stg_customers') }} c using (customer_id)
group by 1, 2
