{% macro dbt_utils_like_values(relation, column) %}
  {%- call statement('values', fetch_result=true) -%}select distinct {{ column }} from {{ relation }} order by 1{%- endcall -%}
  {{ return(load_result('values')['data'] | map('first') | list if execute else []) }}
{% endmacro %}
