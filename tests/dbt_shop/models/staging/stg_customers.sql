select customer_id, tenant, name, nullif(lower(email), '') as email, signed_up_on
from {{ ref('customers') }}
