"""Loads data from outside into the warehouse: the catalogue of connectors, and the child process that runs one."""
