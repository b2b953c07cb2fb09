"""Connections: sources of data that are loaded into the warehouse, their settings, their loads, and how fresh they are.

Not here: the pages (nodes.views.connections), and the kind of node that loads them (nodes.kinds.connection).
"""
