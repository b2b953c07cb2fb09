select id from {{ ref('tested') }}
