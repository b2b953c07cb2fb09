"""Microbatch models: which batches, told while they run, and built again only where they failed.

dbt computes the batches of a model when it runs. Here they are told before the first is built, each is told when it
ends, and a later try is given what was told: it builds what is left of the same window, whatever time it is then.
"""

import copy
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from nodes.dbt.internals.records import Batch, batches
from nodes.dbt.internals.versions import BatchResults, MicrobatchBatchRunner, MicrobatchBuilder, MicrobatchModelRunner

Tell = Callable[[dict[str, Any]], None]

_tell: ContextVar[Tell | None] = ContextVar("tell", default=None)
window_at: ContextVar[datetime | None] = ContextVar("window_at", default=None)


def prepare(runner: MicrobatchModelRunner, known: Mapping[str, Any] | None, tell: Tell | None) -> None:
    """Let a runner tell its batches, and build what is `known` to be left: {"batches", "done", "incremental"}."""
    compute = runner.get_batches
    _tell.set(tell)

    def get_batches(model: Any) -> dict[int, Batch]:
        incremental = bool(known["incremental"]) if known else runner._is_incremental(model)
        every = batches(known["batches"]) if known else list(compute(model).values())
        done = batches(known["done"]) if known else []
        if done and not runner._has_relation(model):
            done = []  # somebody dropped the table meanwhile: what was in it is gone
            incremental = False
        left = [batch for batch in every if batch not in done]
        if known:
            # The first batch of a table that is new, or refreshed fully, makes it; the others never do.
            model.config.full_refresh = not (incremental or done)
            if done:
                model.previous_batch_results = BatchResults(successful=done, failed=left)
        if tell is not None:
            size = model.config.batch_size
            tell(
                {
                    "incremental": incremental,
                    "batches": [
                        [start.isoformat(), end.isoformat(), MicrobatchBuilder.format_batch_start(start, size)]
                        for start, end in every
                    ],
                    "left": [start.isoformat() for start, _ in left],
                }
            )
        return dict(enumerate(left))

    runner.get_batches = get_batches


def own_config(node: Any) -> None:
    """Give a node that is a copy a config of its own: `prepare` changes it."""
    node.config = copy.deepcopy(node.config)


def told(runner: Any, run: Callable[[], Any]) -> Any:
    """Run a runner; a batch is told when it ends, with what went wrong, which dbt only logs."""
    tell = _tell.get()
    if tell is None or not isinstance(runner, MicrobatchBatchRunner):
        return run()
    lines: list[str] = []
    build = runner._build_failed_run_batch_result

    def failed(*args: Any, **kwargs: Any) -> Any:
        lines.append(str(sys.exc_info()[1] or ""))
        return build(*args, **kwargs)

    runner._build_failed_run_batch_result = failed
    result = run()
    start, _ = runner.batches[runner.batch_idx]
    message = lines[0] if lines else "" if str(result.status) == "success" else str(result.message or "")
    tell(
        {
            "batch": start.isoformat(),
            "status": str(result.status),
            "seconds": result.execution_time,
            "message": "" if message in ("ERROR", "SKIPPED") else message[:1000],
        }
    )
    return result
