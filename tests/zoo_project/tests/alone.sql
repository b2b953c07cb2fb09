{{ config(warn_if='> 5', error_if='> 9') }}{{ tell_all('test') }}
select a.id from {{ ref('stg_animals') }} a left join {{ ref('strict') }} s using (id) where s.id is null
