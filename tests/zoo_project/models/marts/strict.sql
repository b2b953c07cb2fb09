{{ config(materialized='table', contract={'enforced': true}) }}{{ tell_all('contract') }}
select id, kind from {{ ref('stg_animals') }}
