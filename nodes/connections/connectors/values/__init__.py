"""Values on their way into a warehouse: arrow columns, rows of JSON, and what drivers of databases give.

What no column holds exactly is refused by name here (misfits), or mapped by a rule of docs/connectors.md.
"""
