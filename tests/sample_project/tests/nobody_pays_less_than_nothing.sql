select order_id, amount_paid
from {{ ref('mart_orders') }}
where amount_paid < 0
