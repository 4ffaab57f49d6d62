select payment_id, order_id, method, {{ euros('amount_cents') }} as amount, paid_on
from {{ ref('payments') }}
