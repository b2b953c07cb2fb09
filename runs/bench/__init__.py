"""Benchmarks: each returns one dict, printed as one JSON line by `manage.py bench`."""
