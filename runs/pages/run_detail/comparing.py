"""Two runs side by side: which tasks are in one alone, and what is different in the others."""

from dataclasses import dataclass
from itertools import islice

from nodes.document.lines import compare as compare_lines
from nodes.document.lines import with_context
from nodes.ordering import GATE
from runs.logs.compiled import compiled_sql
from runs.models import Run, TaskRun
from runs.pages.run_detail.table import tasks_of
from runs.states import TaskState

MUCH = 1.5  # times as long, or as short
LEAST_S = 1.0  # differences below this are noise
MOST_LINES = 400  # of a difference that are shown
LONGEST = 3000  # lines of SQL that are compared line by line


@dataclass(frozen=True)
class Line:
    """A line of the difference of two texts; `sign` is "+" for what came, "-" for what went, "" for what stayed."""

    sign: str
    text: str


@dataclass(frozen=True)
class Row:
    """A task in two runs; None where a run does not have it."""

    identifier: str
    one: TaskRun | None
    other: TaskRun | None
    notes: list[str]
    sql: list[Line]


def compare(one: Run, other: Run) -> list[Row]:
    """The tasks that differ, those whose state differs first; what is the same in both is left out."""
    left = {row.unique_id: row for row in tasks_of(one)}
    right = {row.unique_id: row for row in tasks_of(other)}
    lines = []
    for key in sorted(set(left) | set(right)):
        before, after = left.get(key), right.get(key)
        some = before or after
        assert some is not None
        codes = _codes(before, after)
        if notes := _notes(before, after, codes):
            sql = sql_difference(*codes) if codes and codes[0] != codes[1] else []
            lines.append(Row(some.identifier, before, after, notes, sql))
    return sorted(lines, key=lambda row: (_same_state(row), row.identifier))


def _same_state(row: Row) -> bool:
    return row.one is not None and row.other is not None and row.one.state == row.other.state


def _codes(one: TaskRun | None, other: TaskRun | None) -> tuple[str, str] | None:
    """The SQL that was executed in both; None where it is not known of one, or one did not execute any."""
    if one is None or other is None or TaskState.REUSED in (one.state, other.state):
        return None
    before, after = compiled_sql(one.result.get("compiled")), compiled_sql(other.result.get("compiled"))
    return (before, after) if before and after else None


def sql_difference(before: str, after: str) -> list[Line]:
    """Line by line, with three lines around each change; nothing where there is too much to compare."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > LONGEST:
        return []
    shown = islice(with_context(compare_lines(old, new)), MOST_LINES)
    return [Line("@", "") if line is None else Line(line[0].strip(), line[1]) for line in shown]


def _notes(one: TaskRun | None, other: TaskRun | None, codes: tuple[str, str] | None) -> list[str]:
    if one is None:
        return ["new in the later run"]
    if other is None:
        return ["not in the later run"]
    notes = []
    if one.state != other.state:
        notes.append("state")
    if TaskState.REUSED in (one.state, other.state):
        return notes
    rows = one.result.get("rows_affected"), other.result.get("rows_affected")
    if None not in rows and rows[0] != rows[1]:
        notes.append(f"rows {rows[0]:,} → {rows[1]:,}")
    took = [row.took.total_seconds() if row.took else None for row in (one, other)]  # type: ignore[attr-defined]
    if took[0] is not None and took[1] is not None and abs(took[0] - took[1]) > LEAST_S:
        longer, shorter = max(took), min(took)  # type: ignore[type-var]
        if longer > MUCH * shorter:  # type: ignore[operator]
            notes.append("slower" if took[1] > took[0] else "faster")
    if codes and codes[0] != codes[1]:
        notes.append("SQL")
    return notes


def tasks_in_both(one: Run, other: Run) -> int:
    """How many tasks both runs have."""
    keys = TaskRun.objects.filter(run=one).exclude(kind=GATE).values("unique_id")
    return TaskRun.objects.filter(run=other, unique_id__in=keys).count()
