"""Starts, watches, limits and ends child processes. No other package of dex starts one.

What a child starts ends with it, and all of it ends when dex ends, even by kill -9: see
docs/decisions/0003-child-processes-in-flows.md.
"""

from flows.process.child import PIPE, Child, Finished, kill_leftover, run, start
from flows.process.launch import Limits, clean_environment, isolation_level
from flows.process.table import boot_id, start_time

__all__ = [
    "PIPE",
    "Child",
    "Finished",
    "Limits",
    "boot_id",
    "clean_environment",
    "isolation_level",
    "kill_leftover",
    "run",
    "start",
    "start_time",
]
