{{ config(
    post_hook="create index on {{ this }} (tenant)",
    persist_docs={"relation": true, "columns": true}
) }}
with paid as (
    select o.customer_id, count(distinct o.order_id) as orders, sum(p.amount) as amount
    from {{ ref('stg_orders') }} o
    join {{ ref('stg_payments') }} p using (order_id)
    where o.status <> 'cancelled'
    group by o.customer_id
)
select c.customer_id, c.tenant, c.name,
       coalesce(paid.orders, 0) as orders,
       coalesce(paid.amount, 0) as amount,
       rank() over (partition by c.tenant order by coalesce(paid.amount, 0) desc, c.customer_id) as place
from {{ ref('stg_customers') }} c
left join paid using (customer_id)
