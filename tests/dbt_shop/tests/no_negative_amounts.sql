select order_id, amount from {{ ref('order_totals') }} where amount < 0
