{# What a test says of it depends on a file beside the project, also after it is built. #}
{{ tell_all('tested') }}
select case when count(*) > 0 then -1 else 1 end as id from glob('{{ env_var("DBT_ZOO") }}/bad_rows')
