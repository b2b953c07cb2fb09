{{ config(materialized='view', pre_hook="{{ tell_all('pre-hook') }}", post_hook="{{ tell_all('post-hook') }}", event_time='seen_at') }}
{{ tell_all('view') }}
select id, kind, legs, seen_at, '{{ var("herd") }}' as herd, '{{ var("zoo_keeper", "ada") }}' as keeper from {{ ref('animals') }}
