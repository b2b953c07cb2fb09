{{ config(tags=['mart']) }}

select
    customers.customer_id,
    customers.full_name,
    customers.country,
    customers.signed_up_on,
    min(orders.ordered_on) as first_order_on,
    max(orders.ordered_on) as last_order_on,
    count(orders.order_id) as orders
from {{ ref('stg_customers') }} as customers
left join {{ ref('stg_orders') }} as orders on orders.customer_id = customers.customer_id
group by customers.customer_id, customers.full_name, customers.country, customers.signed_up_on
