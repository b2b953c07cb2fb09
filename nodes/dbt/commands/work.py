"""One task of a run, as the command executor has it: what it consists of, and what dbt has said of it so far. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nodes.dbt.commands.log import Line, Outcome
from nodes.dbt.results import count_of_rows, report_of_test, verdict

LONGEST_COMMAND = 1_000_000  # characters of selectors in one command; the kernel takes 2 MB of arguments


@dataclass
class Work:
    """A task. `task` is the name under which it was ordered, "" as long as it is only planned."""

    key: str
    unique_id: str
    unit_tests: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    builds: bool = True
    full_refresh: bool = False
    threads: int | None = None
    needs: frozenset[str] = frozenset()  # keys: dbt itself keeps to this order
    after: frozenset[str] = frozenset()  # keys: dbt knows nothing of this order
    task: str = ""
    compiled: bool = False
    cancelled: bool = False
    offered: bool = False  # dbt has begun it
    put_off: bool = False  # dbt skipped it once, though it was ordered
    announced: bool = False  # and whoever may order it was told
    begun_at: datetime | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    open: dict[str, int] = field(default_factory=dict)  # by unique id, how often dbt has begun and not ended it
    unsaid: list[dict[str, Any]] = field(default_factory=list)  # lines of its log from before it was ordered

    @classmethod
    def of(cls, order: Mapping[str, Any]) -> "Work":
        """From an item of a plan or from an `execute`."""
        return cls(
            key=str(order.get("key") or order.get("task") or ""),
            unique_id=str(order["unique_id"]),
            unit_tests=tuple(order.get("unit_tests") or ()),
            tests=tuple(order.get("tests") or ()),
            builds=bool(order.get("run_model", True)),
            full_refresh=bool(order.get("full_refresh")),
            threads=order.get("threads"),
            needs=frozenset(order.get("needs") or ()),
            after=frozenset(order.get("after") or ()),
            task=str(order.get("task") or ""),
            compiled=bool(order.get("compiled")),
        )

    @property
    def resources(self) -> tuple[str, ...]:
        """All that dbt is to select for it."""
        return (*self.unit_tests, *((self.unique_id,) if self.builds else ()), *self.tests)

    @property
    def flags(self) -> tuple[bool, int | None]:
        """What a process has for all that it runs; only tasks that agree in it share one."""
        return self.full_refresh, self.threads

    def keeping(self, unique_id: Callable[[str], str], parents: Callable[[str], Collection[str]]) -> "Work":
        """The same, with all the order that dbt keeps to among its needs. In: key -> id; id -> ids of its parents."""
        kept = {key for key in self.after if self.builds and unique_id(key) in parents(self.unique_id)}
        self.needs, self.after = self.needs | kept, self.after - kept
        return self

    def follows(self, reached: Collection[str], done: Collection[str]) -> bool:
        """Whether it may run where all of `reached` is in the same process or done, and `done` is done."""
        return self.needs <= {*reached} and self.after <= {*done}

    @property
    def over(self) -> bool:
        """Whether dbt has said all that decides it. What is skipped has a reason, which may be told after it."""
        node = self.outcomes.get(self.unique_id) if self.builds else None
        if node is not None and not node.good and node.status != "skipped":
            return True
        return all(each in self.outcomes for each in self.resources)

    @property
    def was_skipped(self) -> bool:
        """Whether dbt executed nothing of it."""
        return self.over and all(outcome.status == "skipped" for outcome in self.outcomes.values())

    @property
    def good(self) -> bool:
        """Whether it is over, and well."""
        return self.over and self.verdict()[0] == "success"

    def verdict(self, error: str = "") -> tuple[str, str]:
        """(status, message) of the task."""
        ran = [self.outcomes[each] for each in self._all_tests() if each in self.outcomes]
        if self._unit_test_failed():
            ran = [each for each in ran if each.status != "skipped"]
        return verdict(
            self._node(), ran, len(self._all_tests()), builds=self.builds, cancelled=self.cancelled, error=error
        )

    def result(self, code: str, error: str = "") -> dict[str, Any]:
        """The event that tells how it ended. In: its compiled SQL; what went wrong beside dbt."""
        status, message = self.verdict(error)
        node, now = self._node(), datetime.now(UTC)
        begun = self.begun_at or now
        event: dict[str, Any] = {
            "event": "result",
            "task": self.task,
            "unique_id": self.unique_id,
            "status": status,
            "message": message,
            "rows_affected": count_of_rows(node.adapter_response.get("rows_affected")) if node else None,
            "adapter_response": node.adapter_response if node else {},
            "failures": node.failures if node else None,
            "started_at": begun.isoformat(),
            "finished_at": now.isoformat(),
            "execution_time": node.execution_time if node else (now - begun).total_seconds(),
            "tests": [report_of_test(each, self.outcomes.get(each)) for each in self._all_tests()],
        }
        return {**event, "compiled_code": code} if code else event

    def take(self, line: Line) -> Outcome | None:
        """What a line says of the end of one of its resources. Batches begin and end within their model."""
        depth = self.open.get(line.unique_id, 0)
        if line.event == "NodeStart":
            self.open[line.unique_id] = depth + 1
        elif line.outcome is not None:
            self.open[line.unique_id] = depth - 1
            return line.outcome if depth <= 1 else None
        return None

    def begin(self) -> None:
        """dbt executes it from now on."""
        self.offered, self.begun_at = True, datetime.now(UTC)

    def again(self) -> "Work":
        """The same task for another process: what an ended one left half done is no outcome."""
        self.outcomes, self.open, self.unsaid = {}, {}, []
        self.begun_at, self.offered, self.announced = None, False, False
        return self

    def _all_tests(self) -> tuple[str, ...]:
        return (*self.unit_tests, *self.tests)

    def _node(self) -> Outcome | None:
        node = self.outcomes.get(self.unique_id) if self.builds else None
        # Skipped with its unit tests: those say why.
        return None if node is not None and node.status == "skipped" and self._unit_test_failed() else node

    def _unit_test_failed(self) -> bool:
        return any(not outcome.good for test in self.unit_tests if (outcome := self.outcomes.get(test)))


def choose(
    orders: Sequence[Work], ahead: Iterable[Work], done: Collection[str], term: Callable[[str], str]
) -> list[Work]:
    """What one process executes: of the orders those with the flags of the first, and what can follow them.

    In: `ahead`, what is planned, in an order in which it may run; `done`, keys; `term`, the selector of a unique id.
    No resource is in it twice: its results would belong to two tasks.
    """
    chosen: list[Work] = []
    taken: set[str] = set()
    ordered = {work.key for work in orders}
    reached = {*done}
    size = 0
    for work in (*orders, *ahead):
        is_order = bool(work.task)
        if (chosen and work.flags != chosen[0].flags) or taken & {*work.resources} or not work.resources:
            continue
        if not is_order and (not chosen or work.key in ordered or not work.follows(reached, done)):
            continue
        size += sum(len(term(each)) + 1 for each in work.resources)
        if size > LONGEST_COMMAND and chosen:
            break
        chosen.append(work if is_order else work.again())
        taken |= {*work.resources}
        reached.add(work.key)
    return chosen


def compare(owners: Mapping[str, Work], results: Mapping[str, Outcome], *, interrupted: bool) -> list[str]:
    """Give works what only run_results.json says; returns in sentences where it says less than the log said.

    In: by unique id, whose it is, and its result; whether the process was stopped: what fails then says nothing.
    """
    problems = []
    for unique_id, outcome in results.items():
        work = owners.get(unique_id)
        if work is None:
            continue
        said = work.outcomes.get(unique_id)
        if said is None and (outcome.good or not interrupted):
            work.outcomes[unique_id] = outcome
        elif said is not None and said.good and not outcome.good:
            problems.append(f"{unique_id}: the log says {said.status}, run_results.json says {outcome.status}")
    return problems
