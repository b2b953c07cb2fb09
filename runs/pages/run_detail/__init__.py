"""The page of a run: what it did, does and will do, live."""
