"""The one package that touches dbt's undocumented parts; tests/nodes/dbt/test_internals.py pins them.

dbt executes a project as one command. Here the same runners execute single resources, as often as wanted,
in a process that has parsed the project once. One `Project` per process: dbt keeps flags, adapters, its
event manager and the id of the invocation in globals.
"""

from nodes.dbt.internals.project import Project
from nodes.dbt.internals.records import skipped
from nodes.dbt.internals.task import HookReport, Outcome, Ticket

__all__ = ["HookReport", "Outcome", "Project", "Ticket", "skipped"]
