{{ config(materialized="incremental", incremental_strategy="merge", unique_key="order_id") }}
select o.order_id, o.status, max(p.paid_on) as paid_on, sum(p.amount) as amount
from {{ ref('stg_orders') }} o
join {{ ref('stg_payments') }} p using (order_id)
where p.paid_on <= '{{ var("loaded_until") }}'
{% if is_incremental() %}
  and p.paid_on >= (select coalesce(max(paid_on), '1970-01-01') from {{ this }}) - 7
{% endif %}
group by o.order_id, o.status
