{% macro keeper() %}{{ return(adapter.dispatch('keeper', 'shared')()) }}{% endmacro %}
{% macro default__keeper() %}{{ return(var('keeper')) }}{% endmacro %}
