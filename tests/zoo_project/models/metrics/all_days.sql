{{ config(materialized='table') }}{{ tell_all('table') }} select unnest(generate_series(timestamp '2026-01-01', timestamp '2026-01-03', interval 1 day))::date as day
