select one.id, one.portions as before, now.portions as portions, newest.portions as newest
from {{ ref('feed', v=1) }} one join {{ ref('feed') }} now using (id) join {{ ref('feed', version=2) }} newest using (id)
