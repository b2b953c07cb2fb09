{{ config(materialized='ephemeral') }} {{ tell_all('ghost') }}
select * from {{ ref('stg_animals') }} where legs > 0
