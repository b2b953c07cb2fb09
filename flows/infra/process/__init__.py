"""Starts, watches, limits and ends child processes. No other package of dex starts one.

What a child starts ends with it, and all of it ends when dex ends, even by kill -9: see
docs/decisions/0003-child-processes-in-flows.md.
"""

from flows.infra.process.child import PIPE, Child, Finished, kill_leftover, run, start
from flows.infra.process.forking import Preload
from flows.infra.process.launch import Limits, clean_environment, isolation_level
from flows.infra.process.lending import WAREHOUSES, WORK, lend, let_pass
from flows.infra.process.sandbox import Isolation, Sandbox, configure, interpreter, isolation, take_user
from flows.infra.process.table import boot_id, start_time
from flows.infra.process.users import give_uid_back, kill_leftover_of

__all__ = [
    "PIPE",
    "WAREHOUSES",
    "WORK",
    "Child",
    "Finished",
    "Isolation",
    "Limits",
    "Preload",
    "Sandbox",
    "boot_id",
    "clean_environment",
    "configure",
    "give_uid_back",
    "interpreter",
    "isolation",
    "isolation_level",
    "kill_leftover",
    "kill_leftover_of",
    "lend",
    "let_pass",
    "run",
    "start",
    "start_time",
    "take_user",
]
