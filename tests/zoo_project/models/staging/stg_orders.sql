{# A twin of the one of the package. #}
select 1 as id, '{{ shared.keeper() }}' as keeper
