select id, 1 as portions from {{ ref('stg_animals') }}
