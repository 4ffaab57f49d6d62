{{ config(materialized="incremental", incremental_strategy="delete+insert", unique_key="paid_on") }}
select paid_on, method, count(*) as payments, sum(amount) as amount
from {{ ref('stg_payments') }}
where paid_on <= '{{ var("loaded_until") }}'
{% if is_incremental() %}
  and paid_on >= (select coalesce(max(paid_on), '1970-01-01') from {{ this }}) - 7
{% endif %}
group by paid_on, method
