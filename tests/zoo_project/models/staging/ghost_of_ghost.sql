{{ config(materialized='ephemeral') }}
select id, kind, legs, seen_at from {{ ref('ghost') }} where kind = '{{ var("herd") }}'
