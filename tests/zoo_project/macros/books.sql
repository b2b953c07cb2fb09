{# Tables of an audit, as packages for observability keep them. #}
{% macro open_books() %}
  create table if not exists {{ target.schema }}.runs (
    invocation_id varchar, which varchar, full_refresh varchar, herd varchar, selected integer, team varchar);
  create table if not exists {{ target.schema }}.results (
    invocation_id varchar, unique_id varchar, status varchar, message varchar, failures integer, tags varchar);
  create table if not exists {{ target.schema }}.known (
    invocation_id varchar, kind varchar, unique_id varchar, materialized varchar, checksum varchar);
  create table if not exists {{ target.schema }}.visits (name varchar, invocation_id varchar, full_refresh varchar);
  insert into {{ target.schema }}.runs values ('{{ invocation_id }}', '{{ flags.WHICH }}', '{{ flags.FULL_REFRESH }}',
    '{{ var("herd", "") }}', {{ selected_resources | length }}, '{{ dbt_metadata_envs.get("TEAM", "") }}')
{% endmacro %}

{% macro write_books(results) %}
  {% if execute %}
    {% for result in results %}
      insert into {{ target.schema }}.results values ('{{ invocation_id }}', '{{ result.node.unique_id }}',
        '{{ result.status }}', {{ dbt.string_literal(dbt.escape_single_quotes(result.message or "")) }},
        {{ result.failures if result.failures is not none else "null" }}, '{{ result.node.tags | join(" ") }}');
    {% endfor %}
    {% for kind in ("nodes", "sources", "exposures", "metrics", "groups") %}
      {% for node in graph[kind].values() %}
        insert into {{ target.schema }}.known values ('{{ invocation_id }}', '{{ kind }}',
          '{{ node.unique_id or node.name }}', '{{ node.config.materialized if node.config else "" }}',
          '{{ node.checksum.checksum if node.checksum else "" }}');
      {% endfor %}
    {% endfor %}
    select 1
  {% endif %}
{% endmacro %}
