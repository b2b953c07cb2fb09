"""One task of a run: what went wrong first, what was executed, what came of it, and what is around it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.utils.safestring import SafeString, mark_safe
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import SqlLexer  # type: ignore[import-untyped]

from nodes import kinds
from nodes.ordering import GATE
from runs.alerts.failure_groups.models import FailureGroup
from runs.alerts.failure_groups.normalise import is_said_by
from runs.alerts.failure_groups.record import failure_group_of
from runs.engine.recorded import Batch, batches_of
from runs.logs import store
from runs.logs.compiled import compiled_sql
from runs.models import Attempt, TaskRun
from runs.states import TaskState

MOST_CODE = 200_000  # characters that are highlighted
MOST_AROUND = 50
MOST_BATCHES = 200  # of a model; where there are more, those that were not built come first
EXCERPT = 6_000  # bytes of the end of a log that are shown beside an error


@dataclass(frozen=True)
class Test:
    """A test of dbt and how it ended, in dbt's words; `failures` counts rows."""

    name: str
    status: str
    failures: int
    message: str
    seconds: float | None
    unique_id: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    problem: str = ""  # why the rows that fail are not there

    @property
    def is_bad(self) -> bool:
        """Whether it blocks what is downstream."""
        return self.status in ("fail", "error", "runtime error")


@dataclass(frozen=True)
class Table:
    """One table of a task that loads several, and its cursor before and after; see nodes.connections.loads."""

    told: Mapping[str, Any]
    cursor: tuple[Any, Any] | None


@dataclass
class Detail:
    """What the panel of a task shows."""

    task: TaskRun
    tries: list[Attempt]
    error: str
    code: SafeString
    raw_code: str
    tests: list[Test]
    rows: int | None
    message: str
    upstream: list[TaskRun]
    downstream: list[TaskRun]
    excerpt: str = ""
    output: dict[str, Any] = field(default_factory=dict)  # what a script wrote to DEX_OUTPUT
    bytes: int | None = None  # that a load read
    cursor: tuple[Any, Any] | None = None  # of a load, before and after
    schema_changes: list[dict[str, Any]] = field(default_factory=list)
    tables: list["Table"] = field(default_factory=list)  # of a load of several
    batches: list[Batch] = field(default_factory=list)  # of a microbatch model, at most MOST_BATCHES
    batches_told: str = ""  # how many there are, and what became of them
    waits_on: list[TaskRun] = field(default_factory=list)
    failure_group: FailureGroup | None = None


def detail_of(task: TaskRun, *, with_rows: bool = False) -> Detail:
    """Everything about one task run; `with_rows`, the rows that fail its tests too. Five queries, and its files."""
    tries = list(task.tries.order_by("-fence"))
    result = task.result or {}
    code = compiled_sql(result.get("compiled"))
    rows = _failing_rows(result.get("failing_rows")) if with_rows else {}
    tests = tests_of(result, rows)
    if rows and not tests:  # it is a test itself
        tests = tests_of({"tests": [{"unique_id": key, "status": "fail"} for key in rows]}, rows)
    upstream, downstream = around(task)
    failed = task.state == TaskState.FAILED
    latest = tries[0] if tries else None
    batches = batches_of(result.get("batches"))
    waits_on = [row for row in upstream if row.ended_at is None] if task.state == TaskState.PENDING else []
    return Detail(
        task=task,
        tries=tries,
        error=_error(task, tests) if failed else "",
        code=highlighted(code),
        raw_code=code,
        tests=tests,
        rows=result.get("rows_affected"),
        message="" if failed else str(result.get("message") or ""),
        upstream=upstream,
        downstream=downstream,
        excerpt=_excerpt(latest) if failed or _is_told_by_log(task) else "",
        output=result.get("output") or {},
        bytes=result.get("bytes"),
        cursor=_cursor(result),
        schema_changes=[change for row in result.get("tables", [result]) for change in row.get("schema_changes") or ()],
        tables=[Table(row, _cursor(row)) for row in result.get("tables", ())],
        batches=batches if len(batches) <= MOST_BATCHES else sorted(batches, key=_is_built)[:MOST_BATCHES],
        batches_told=_told(batches),
        waits_on=waits_on,
        failure_group=failure_group_of(task) if failed else None,
    )


def _is_told_by_log(task: TaskRun) -> bool:
    """Whether its log says what it did: of all kinds but dbt's, whose results say it."""
    return task.kind in {kind.name for kind in kinds.all_kinds() if not kind.runs_dbt}


def _is_built(batch: Batch) -> bool:
    return batch.state == TaskState.SUCCEEDED


def _told(batches: list[Batch]) -> str:
    if not batches:
        return ""
    words = {TaskState.FAILED: "failed", TaskState.SKIPPED: "skipped", TaskState.PENDING: "not built yet"}
    counts = [(sum(batch.state == state for batch in batches), word) for state, word in words.items()]
    built = sum(map(_is_built, batches))
    rest = "".join(f", {number} {word}" for number, word in counts if number)
    return f"{built} of {len(batches)} built{rest}, from {batches[0].label} to {batches[-1].label}"


def _cursor(result: dict[str, Any]) -> tuple[Any, Any] | None:
    cursors = result.get("cursor_before"), result.get("cursor_after")
    return None if cursors == (None, None) else cursors


def _error(task: TaskRun, tests: list[Test]) -> str:
    """What went wrong, in the words of the warehouse; where a test failed, with what it said."""
    message = str(task.result.get("message") or "") if task.result.get("status") in ("error", "runtime error") else ""
    if any(batch.state == TaskState.FAILED for batch in batches_of(task.result.get("batches"))):
        message = ""  # dbt counts the batches; the reason names them
    first = next((test for test in tests if test.is_bad and test.message), None)
    lines = ["" if is_said_by(task.reason, message) else task.reason, message, first.message if first else ""]
    return "\n\n".join(dict.fromkeys(line.strip() for line in lines if line.strip()))


def tests_of(result: dict[str, Any], rows: Mapping[str, Any] | None = None) -> list[Test]:
    """The tests of a task's result, those that failed first; `rows` that fail by unique id."""
    tests = [
        Test(
            name=str(test.get("name") or test.get("unique_id")),
            status=str(test.get("status")),
            failures=int(test.get("failures") or 0),
            message=str(test.get("message") or ""),
            seconds=test.get("execution_time"),
            unique_id=str(test.get("unique_id")),
            columns=tuple((rows or {}).get(test.get("unique_id"), {}).get("columns", ())),
            rows=tuple(map(tuple, (rows or {}).get(test.get("unique_id"), {}).get("rows", ()))),
            problem=str((rows or {}).get(test.get("unique_id"), {}).get("problem", "")),
        )
        for test in result.get("tests", ())
    ]
    rank = {"error": 0, "runtime error": 0, "fail": 0, "warn": 1, "skipped": 2}
    return sorted(tests, key=lambda test: (rank.get(test.status, 3), test.name))


def around(task: TaskRun) -> tuple[list[TaskRun], list[TaskRun]]:
    """What it waited for and what waits for it, through the gates of links between nodes."""
    rows = TaskRun.objects.filter(run=task.run_id).only("identifier", "state", "kind", "ended_at", "run_id")

    def beyond(here: str, there: str) -> list[TaskRun]:
        reached: dict[int, TaskRun] = {}
        wave, seen = [task.pk], {task.pk}
        while wave and len(reached) < MOST_AROUND:
            neighbours = list(
                rows.filter(**{f"{there}__{here}__in": wave}).exclude(pk__in=seen).distinct()[:MOST_AROUND]
            )
            seen.update(row.pk for row in neighbours)
            reached |= {row.pk: row for row in neighbours if row.kind != GATE}
            wave = [row.pk for row in neighbours if row.kind == GATE]
        return sorted(reached.values(), key=lambda row: row.identifier)

    return beyond("down", "dependencies_down"), beyond("up", "dependencies_up")


def _failing_rows(path: object) -> dict[str, Any]:
    """What runs.engine.outcomes.write_rows kept; nothing where it was pruned or cut."""
    if not isinstance(path, str) or not path:
        return {}
    try:
        kept = json.loads(store.read(path).data)
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


@lru_cache(maxsize=64)
def highlighted(code: str) -> SafeString:
    """SQL as HTML with a class for each kind of word (`.hl-k` a keyword ...); what is very long stays plain."""
    if not code or len(code) > MOST_CODE:
        return SafeString("")
    html: str = highlight(code, SqlLexer(stripnl=False), HtmlFormatter(nowrap=True, classprefix="hl-"))
    return mark_safe(html)  # noqa: S308 - Pygments escapes what it is given


def _excerpt(attempt: Attempt | None) -> str:
    if attempt is None or not attempt.log_path:
        return ""
    try:
        return store.read(attempt.log_path, -EXCERPT).text
    except ValueError:
        return ""
