{{ config(materialized='shout') }} select name as word from {{ ref('colours') }}
