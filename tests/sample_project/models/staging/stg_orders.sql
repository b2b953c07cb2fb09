{{ config(tags=['staging']) }}

select
    id as order_id,
    customer_id,
    ordered_at,
    cast(ordered_at as date) as ordered_on,
    status,
    status in ('shipped', 'completed') as is_fulfilled
from {{ ref('raw_orders') }}
