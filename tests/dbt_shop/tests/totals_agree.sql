{# What the customers' table says and what the months' table says must be the same, but for cancelled orders. #}
with by_customer as (select sum(amount) as amount from {{ ref('customer_value') }}),
     by_month as (select sum(amount) as amount from {{ ref('tenant_months') }}),
     cancelled as (
         select coalesce(sum(p.amount), 0) as amount
         from {{ ref('stg_payments') }} p join {{ ref('stg_orders') }} o using (order_id)
         where o.status = 'cancelled'
     )
select by_customer.amount, by_month.amount as month_amount
from by_customer, by_month, cancelled
where by_customer.amount + cancelled.amount <> by_month.amount
