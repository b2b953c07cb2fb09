"""What dex knows of each kind of warehouse: its form, its target in profiles.yml, what its messages mean, what can be
done there. One file each in `adapters/`. Not here: the warehouse of an environment (nodes/dbt/warehouse.py)."""
