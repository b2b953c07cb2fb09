{{ tell_all('versioned') }} select id, 2 as portions, kind from {{ ref('stg_animals') }}
