"""dbt as dex uses it: parsed once per revision, run by a long-lived child process.

Only `session`, `internals` and `parse_child` import dbt, and only in processes of their own; everything
else here may be used anywhere.
"""
