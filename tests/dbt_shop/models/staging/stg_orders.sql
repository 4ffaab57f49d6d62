select order_id, customer_id, ordered_on, status, coalesce(note, '') as note
from {{ ref('orders') }}
