{{ config(materialized='incremental', unique_key='id', on_schema_change='append_new_columns') }}{{ tell_all('incremental') }}
{% if execute %}{% do tell('incremental', 'is_incremental', is_incremental()) %}
{% do tell('incremental', 'should_full_refresh', should_full_refresh()) %}{% endif %}
select id, legs, {{ 1 if flags.FULL_REFRESH else 0 }} as refreshed, '{{ model.config.meta.owner }}' as owner
{% if is_incremental() %}, (select count(*) from {{ this }}) as known{% endif %}
from {{ ref('ghost_of_ghost') }}
