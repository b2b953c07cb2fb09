"""The only writer of `state`. Every move is a compare-and-swap, and the database keeps a row of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from flows.infra.statements import Sql, now, update
from flows.models import Environment, Flow
from runs.models import Dependency, Run, TaskRun
from runs.states import BIRTHS, MOVES, OVER, RUN_MOVES, RUN_OVER, RunState, TaskState

REASON_LENGTH = 1000


class IllegalMoveError(Exception):
    """Code asked for a move that the table of states does not have."""


def open_run(
    flow: Flow | None, *, actor: str, name: str = "", environment: Environment | None = None, **fields: Any
) -> Run:
    """A new run in QUEUED, of `flow`, or of none with a name and an environment of its own.

    The caller holds the transaction; `fields` are columns of Run.
    """
    return Run.objects.create(
        flow=flow,
        flow_name=flow.name if flow else name,
        environment_name=str(flow.environment if flow else environment),
        state=RunState.QUEUED,
        moved_by=actor,
        **fields,
    )


def open_task_runs(rows: list[TaskRun], edges: Iterable[tuple[int, int]], *, actor: str) -> None:
    """Write the task runs of a plan (PENDING or REUSED) and their dependencies.

    In: unsaved rows; edges as (index of upstream, index of downstream) into `rows`.
    """
    for row in rows:
        if row.state not in BIRTHS:
            raise IllegalMoveError(f"a task run is not born {row.state}")
        row.moved_by = actor
    created = TaskRun.objects.bulk_create(rows, batch_size=500)
    # Plain SQL: a large flow has tens of thousands, and the ORM takes twenty times as long for three numbers each.
    table = connection.ops.quote_name(Dependency._meta.db_table)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} (run_id, up_id, down_id) VALUES (%s, %s, %s)",  # noqa: S608 - a table of our own
            [(created[up].run_id, created[up].pk, created[down].pk) for up, down in edges],
        )


def move(
    rows: QuerySet[TaskRun], old: TaskState, new: TaskState, *, actor: str, reason: str = "", **changes: Any
) -> int:
    """Move those of `rows` that are still in `old` to `new`; the number moved.

    0 means another was first: do nothing then. Give the fence in `rows` where an attempt speaks.
    """
    if (old, new) not in MOVES:
        raise IllegalMoveError(f"no task run moves from {old} to {new}")
    if sum(1 for uses in rows.query.alias_refcount.values() if uses) > 1:
        # Django would put the whole condition, the old state too, into a subquery. PostgreSQL does not look at
        # a subquery again after it waited for another's lock, and two workers would both have moved the row.
        raise IllegalMoveError("compare-and-swap needs a condition on the task run's own columns, without joins")
    if new in OVER:
        changes.setdefault("ended_at", Now())
    return rows.filter(state=old).update(state=new, moved_by=actor, reason=reason[:REASON_LENGTH], **changes)


def move_by_id(
    ids: int | Sequence[int],
    old: TaskState,
    new: TaskState,
    *conditions: Sql,
    actor: str,
    reason: str = "",
    fence: int | None = None,
    owner: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> int:
    """As move, for the task runs of these ids; in a third of the time. With fence and owner where an attempt speaks.

    In: `conditions` on columns of the task run itself; `changes`, values or Sql (see flows.infra.statements).
    """
    if (old, new) not in MOVES:
        raise IllegalMoveError(f"no task run moves from {old} to {new}")
    ended = {"ended_at": now(TaskRun)} if new in OVER else {}
    own: dict[str, Any] = {"id": ids, "state": old.value}
    if fence is not None:
        own["fence"] = fence
    if owner is not None:
        own["owner"] = owner
    values = {"state": new.value, "moved_by": actor, "reason": reason[:REASON_LENGTH], **ended, **(changes or {})}
    return update(TaskRun, values, *conditions, **own)


def move_run(run_id: int, old: RunState, new: RunState, *, actor: str, reason: str = "", **changes: Any) -> bool:
    """Move one run from `old` to `new`; whether it was this call that moved it."""
    if (old, new) not in RUN_MOVES:
        raise IllegalMoveError(f"no run moves from {old} to {new}")
    if new in RUN_OVER:
        changes.setdefault("ended_at", Now())
    with transaction.atomic():
        moved = Run.objects.filter(pk=run_id, state=old).update(
            state=new, moved_by=actor, reason=reason[:REASON_LENGTH], **changes
        )
    return bool(moved)
