"""Which addresses dex may connect to, and the HTTP client that keeps to it: for alerts, OpenLineage and connectors.

Knows no Django. Git, dbt and scripts are not in here: they are programs with networks of their own.
"""
