"""What a run's records say of dbt's results: what on-run-end hooks are given, and the batches of a model."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flows.infra.redaction import Redactor
from nodes import kinds
from nodes.ordering import HOOK, ON_RUN_END, ON_RUN_START
from runs.logs import store
from runs.models import TaskRun
from runs.states import TaskState

SAVE_S = 1.0  # for each 500 batches


def results_of(run_id: int) -> dict[str, dict[str, Any]]:
    """Unique id -> the record of its result, of all that this run executed or skipped, in the order of their ends.

    Empty after a start hook for which everything was skipped: dbt hands nothing to its end hooks then.
    """
    results: dict[str, dict[str, Any]] = {}
    of_dbt = [HOOK, *(kind.name for kind in kinds.all_kinds() if kind.runs_dbt)]
    rows = TaskRun.objects.filter(run=run_id, kind__in=of_dbt).exclude(state=TaskState.REUSED)
    columns = ("unique_id", "state", "reason", "spec", "result")
    for key, state, reason, spec, result in rows.order_by("ended_at", "pk").values_list(*columns):
        if key == ON_RUN_END:
            continue
        if key == ON_RUN_START and state != TaskState.SUCCEEDED and result.get("after") != "proceed":
            return {}
        records = result.get("records")
        if records is None:
            records = _without_a_word(state, reason, spec) if key != ON_RUN_START else {}
        for unique_id, record in records.items():
            results.pop(unique_id, None)
            results[unique_id] = dict(record)
        node = spec.get("unique_id")
        if result.get("compiled") and node in results:
            results[node]["compiled_code"] = _whole(result["compiled"])
    return results


def _without_a_word(state: str, reason: str, spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of a task that dbt said nothing about: it was skipped, or ended with its session or its time."""
    node, tests = spec.get("unique_id"), [*spec.get("unit_tests", ()), *spec.get("tests", ())]
    results = {key: {"status": "skipped"} for key in tests}
    if node and (spec.get("builds") or node in tests):
        failed = state == TaskState.FAILED
        results[node] = {"status": "error", "message": reason} if failed else {"status": "skipped"}
    return results


def _whole(path: str) -> str:
    return store.read(path).text


class Batches:
    """The batches of one task run while they are built: told by the session, kept with the task run."""

    def __init__(self, task_run_id: int, fence: int, known: Mapping[str, Any], redactor: Redactor) -> None:
        self._task, self._fence, self._redactor = task_run_id, fence, redactor
        self.incremental = bool(known.get("incremental"))
        self.rows: list[dict[str, Any]] = [dict(row) for row in known.get("rows", ())]
        self._saved = 0.0
        self._is_new = False  # there is something to save

    def take(self, event: Mapping[str, Any]) -> None:
        """One event of the session: all batches before the first, or the end of one."""
        if "batches" in event:
            before = {row["start"]: row for row in self.rows}
            left = set(event["left"])
            self.incremental = bool(event["incremental"])
            self.rows = [
                {**before.get(start, {}), "start": start, "end": end, "label": label, "earlier": True}
                if start not in left
                else {"start": start, "end": end, "label": label, "status": ""}
                for start, end, label in event["batches"]
            ]
            self._saved = 0.0
        self._is_new = True
        for row in self.rows:
            if row["start"] == event.get("batch"):
                row.update(status=event["status"], seconds=event["seconds"])
                row["message"] = self._redactor.whole(event["message"])

    def save(self, *, now: bool = False) -> None:
        """Keep them with the task run, once a second at most unless it must be `now`."""
        pause = SAVE_S * (1 + len(self.rows) // 500)
        if self._is_new and (now or time.monotonic() - self._saved >= pause):
            self._saved, self._is_new = time.monotonic(), False
            rows = TaskRun.objects.filter(pk=self._task, fence=self._fence, ended_at=None)
            rows.update(result={"batches": self.kept})

    @property
    def problem(self) -> str:
        """What went wrong with them, in one line; "" when nothing did."""
        bad = [row for row in self.rows if row.get("status") == "error"]
        first = next((f": {row['label']}: {row['message']}" for row in bad if row.get("message")), "")
        return f"{len(bad)} of {len(self.rows)} batches failed{first}" if bad else ""

    @property
    def kept(self) -> dict[str, Any]:
        """As they stand in the result of a task run."""
        return {"incremental": self.incremental, "rows": self.rows}


@dataclass(frozen=True)
class Batch:
    """One batch of a microbatch model, as pages and the API show it.

    `label` as dbt calls it, `state` in the words of tasks, `earlier`: built by an earlier try or run.
    """

    label: str
    start: str
    end: str
    state: TaskState
    seconds: float | None
    message: str
    earlier: bool


_BATCH = {"success": TaskState.SUCCEEDED, "error": TaskState.FAILED, "skipped": TaskState.SKIPPED}


def batches_of(kept: Mapping[str, Any] | None) -> list[Batch]:
    """The batches that the result of a task keeps, in the order of their time; none for other tasks."""
    return [
        Batch(
            label=str(row.get("label") or row.get("start")),
            start=str(row.get("start") or ""),
            end=str(row.get("end") or ""),
            state=_BATCH.get(str(row.get("status")), TaskState.PENDING),
            seconds=row.get("seconds"),
            message=str(row.get("message") or ""),
            earlier=bool(row.get("earlier")),
        )
        for row in (kept or {}).get("rows") or ()
    ]


def known_batches(kept: Mapping[str, Any] | None, *, lost: bool) -> dict[str, Any] | None:
    """What a session needs to go on: the window, and what of it is built.

    When all was built and yet it runs again, it is built again, unless the try was `lost` before it could say so.
    """
    rows = (kept or {}).get("rows") or []
    if not rows:
        return None
    done = [[row["start"], row["end"]] for row in rows if row.get("status") == "success"]
    if len(done) == len(rows) and not lost:
        done = []
    return {
        "incremental": bool((kept or {}).get("incremental")),
        "batches": [[row["start"], row["end"]] for row in rows],
        "done": done,
    }


def messages(kept: Mapping[str, Any] | None) -> Iterable[str]:
    """What went wrong with batches, each message once."""
    rows = (kept or {}).get("rows") or ()
    return dict.fromkeys(str(row["message"]) for row in rows if row.get("message"))
