select 2 as id, '{{ var("keeper") }}' as keeper
