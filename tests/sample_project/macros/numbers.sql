{% macro whole_numbers(how_many) -%}
    (select cast(number as bigint) as number from generate_series(1, {{ how_many }}) as series(number))
{%- endmacro %}

{% macro redraws() -%}
    1000
{%- endmacro %}

{% macro draws_in_total() -%}
    {{ 60000000 if target.type == 'duckdb' else 4000000 }}
{%- endmacro %}
