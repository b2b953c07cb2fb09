{{ config(tags=['mart', 'revenue']) }}

-- Revenue by day and country, with a band of what chance alone would make of it: the days are drawn
-- again many times. This is the one model of the project that takes noticeable time.

with sales as (

    select
        orders.ordered_on,
        customers.country,
        sum(payments.amount) as revenue,
        count(distinct orders.order_id) as orders
    from {{ ref('stg_orders') }} as orders
    join {{ ref('stg_customers') }} as customers on customers.customer_id = orders.customer_id
    join {{ ref('stg_payments') }} as payments on payments.order_id = orders.order_id
    where orders.is_fulfilled
    group by orders.ordered_on, customers.country
    having sum(payments.amount) > {{ var('smallest_sale') }}

),

numbered as (

    select
        ordered_on,
        country,
        revenue,
        row_number() over (order by ordered_on, country) - 1 as place,
        count(*) over () as places
    from sales

),

draws as (

    -- The same pseudo-random places on every warehouse: a plain congruential generator.
    select
        number % {{ redraws() }} as redraw,
        ((number * 1103515245 + 12345) % 2147483648) % (select max(places) from numbered) as place
    from {{ whole_numbers(draws_in_total()) }} as drawn

),

resampled as (

    select draws.redraw, avg(numbered.revenue) as mean_revenue
    from draws
    join numbered on numbered.place = draws.place
    group by draws.redraw

),

band as (

    select min(mean_revenue) as lowest_mean, max(mean_revenue) as highest_mean
    from resampled

)

select
    sales.ordered_on,
    sales.country,
    sales.revenue,
    sales.orders,
    band.lowest_mean,
    band.highest_mean
from sales
cross join band
