"""The warehouses that have a form, one file each. docs/warehouses.md says how to write another."""
