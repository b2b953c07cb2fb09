select id from {{ ref('fragile') }} union all select id from {{ ref('snap') }}
