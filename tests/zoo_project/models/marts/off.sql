{{ config(enabled=var('off_is_on', false)) }} select 1 as id
