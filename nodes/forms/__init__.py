"""The forms of nodes, of their rows in the admin, and of environments with their warehouse.

Not here: forms of connections (nodes.connections.forms).
"""
