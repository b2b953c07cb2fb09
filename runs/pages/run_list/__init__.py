"""The list of all runs: filtered, paged by key, and what is done to many of them at once."""
