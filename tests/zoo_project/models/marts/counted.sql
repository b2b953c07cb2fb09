{{ config(materialized='table', alias='number_of_animals', access='private') }}
{% set kinds = dbt_utils_like_values(ref('stg_animals'), 'kind') %}
select {% for kind in kinds %}count(case when kind = '{{ kind }}' then 1 end) as {{ kind }}{{ ", " if not loop.last }}{% endfor %}
from {{ ref('stg_animals') }}
