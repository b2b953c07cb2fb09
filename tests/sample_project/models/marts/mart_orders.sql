{{ config(tags=['mart', 'orders']) }}

with paid as (

    select order_id, sum(amount) as amount_paid, count(*) as payments
    from {{ ref('stg_payments') }}
    group by order_id

)

select
    orders.order_id,
    orders.customer_id,
    orders.ordered_on,
    orders.status,
    orders.is_fulfilled,
    coalesce(paid.amount_paid, 0) as amount_paid,
    coalesce(paid.payments, 0) as payments
from {{ ref('stg_orders') }} as orders
left join paid on paid.order_id = orders.order_id
