"""dbt runtimes: which dbt a project brings, how it is built and locked, and which one a revision runs on.

How dbt is driven is in nodes/dbt/; how uv builds is in nodes/virtualenvs/.
"""
