"""The HTTP API: starts flows and tells what became of runs. docs/api.md says how it is used."""
