{{ config(tags=['staging']) }}

-- The provider's export comes by ingestion; in this sample a seed stands in for it and has to be there first.
-- depends_on: {{ ref('raw_payments') }}

select
    id as payment_id,
    order_id,
    method,
    amount_cents / 100.0 as amount,
    paid_at
from {{ source('payment_provider', 'raw_payments') }}
