{# What happens to the zoo, by files beside the project: both dbt and dex look at the same. #}
{% macro there_is(trouble) %}
  {%- set found = false -%}
  {%- if execute -%}
    {%- set found = run_query("select count(*) from glob('" ~ env_var('DBT_ZOO') ~ "/" ~ trouble ~ "')").rows[0][0] > 0 -%}
  {%- endif -%}
  {{ return(found) }}
{% endmacro %}

{% macro takes_long() %}(select sum(a.range * b.range) from range(1000000) a, range(1000000) b) > 0{% endmacro %}

{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
  {%- if custom_alias_name -%}{{ custom_alias_name | trim }}
  {%- elif node.version -%}{{ node.name }}_v{{ node.version }}
  {%- else -%}{{ node.name }}{%- endif -%}
{%- endmacro %}

{% test is_positive(model, column_name, more_than=0) %}
  select * from {{ model }} where {{ column_name }} <= {{ more_than }}
{% endtest %}

{% materialization shout, default %}
  {%- set target_relation = this.incorporate(type='table') -%}
  {{ run_hooks(pre_hooks) }}
  {% call statement('main') %}create or replace table {{ target_relation }} as select upper(word) as word from ({{ sql }}){% endcall %}
  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
