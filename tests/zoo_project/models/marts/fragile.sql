{{ config(materialized='table') }}
{% if there_is('bad_model') %}select nonsense from {{ ref('herd') }}{% else %}select id from {{ ref('herd') }}
{{ "where " ~ takes_long() if there_is('slow_model') }}{% endif %}
