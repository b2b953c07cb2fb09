"""Pages that belong to no single app: Home, search, status, the health endpoints.

Not here: what frames every page (dexsite.navigation).
"""
