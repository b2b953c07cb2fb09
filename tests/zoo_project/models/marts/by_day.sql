{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='seen_at', batch_size='year', begin='2025-01-01', lookback=2) }}
{{ tell_all('microbatch') }}
{% if execute and model.batch %}{% do tell('microbatch', model.batch.id, model.batch | string) %}
{% if model.batch.id == '2025' and there_is('bad_batch') %}select error('the batch is bad') as id, seen_at from {{ ref('stg_animals') }} union all {% endif %}
{% endif %}
select id, seen_at from {{ ref('stg_animals') }}
