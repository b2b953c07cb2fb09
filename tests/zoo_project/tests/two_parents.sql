select f.id from {{ ref('fragile') }} f join {{ ref('tested') }} t using (id) where false
