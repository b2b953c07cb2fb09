"""The command executor: resources run by `dbt build` processes, followed by their JSON log. For any dbt.

Not here: anything that imports dbt. What this package knows of dbt is its command line, its log and its artifacts.
"""
