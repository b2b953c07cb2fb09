"""Where the versions of dbt differ that a session runs on (1.8 to 1.12), and how."""

import inspect
from collections import ChainMap
from datetime import timezone
from typing import Any

from dbt.artifacts.schemas.results import RunStatus
from dbt.artifacts.schemas.run import RunResult
from dbt.parser import manifest

UTC = timezone.utc  # noqa: UP017 - Python 3.10 has no datetime.UTC

try:
    from dbt.config.catalogs import get_active_write_integration, load_catalogs
except ImportError:  # before 1.10 there were no catalogs
    load_catalogs = None

try:
    from dbt.artifacts.schemas.batch_results import BatchResults
    from dbt.materializations.incremental.microbatch import MicrobatchBuilder
    from dbt.task.run import MicrobatchBatchRunner, MicrobatchModelRunner
except ImportError:  # before 1.9 there was no microbatch

    class _Absent:
        """Nothing is one of these."""

    BatchResults = MicrobatchBuilder = MicrobatchBatchRunner = MicrobatchModelRunner = _Absent

__all__ = ["UTC", "BatchResults", "MicrobatchBatchRunner", "MicrobatchBuilder", "MicrobatchModelRunner"]

try:
    from dbt.cli.requires import _bridge_v2_catalogs
    from dbt.config.catalogs import load_catalogs_v2
except ImportError:  # before 1.12 there was one format of catalogs
    _bridge_v2_catalogs = load_catalogs_v2 = None

try:
    from dbt.contracts.graph.manifest import FlatGraphMapping
except ImportError:  # before 1.12 `graph` was a copy of what was parsed
    FlatGraphMapping = None

_TAKES_INTEGRATIONS = "active_integrations" in inspect.signature(manifest.parse_manifest).parameters


def parse_manifest(config: Any, project_name: str, flags: Any) -> Any:
    """The manifest of a project, parsed or read as it was parsed before; nothing is written beside it.

    The catalogs that it may name are read as dbt's command does (dbt/cli/requires.py, setup_manifest).
    """
    if not _TAKES_INTEGRATIONS:
        return manifest.parse_manifest(config, False, False, False)
    if getattr(flags, "USE_CATALOGS_V2", False):
        catalogs = load_catalogs_v2(config.project_root, project_name, flags.VARS)
        integrations = _bridge_v2_catalogs(config, catalogs) if catalogs else []
    else:
        catalogs = load_catalogs(config.project_root, project_name, flags.VARS)
        integrations = [get_active_write_integration(each) for each in catalogs]
    return manifest.parse_manifest(config, False, False, False, integrations)


def show_in_graph(project: Any, executed: dict[str, Any]) -> None:
    """Let `graph.nodes` of macros hold what executions have made of nodes, by unique id, as dbt 1.12 and later have it.

    Executions work on copies, so the manifest's own nodes stay as they were parsed.
    """
    if FlatGraphMapping is not None:
        project.flat_graph["nodes"] = FlatGraphMapping(ChainMap(executed, project.nodes))


def call(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call a function of dbt with those of the options that it takes in this version."""
    taken = inspect.signature(function).parameters
    return function(*arguments, **{name: value for name, value in options.items() if name in taken})


def crashed(task: Any, runner: Any, error: BaseException) -> RunResult:
    """The result of a resource whose runner raised, as dbt's command makes it; before 1.11 it had no method for it."""
    if hasattr(task, "_handle_thread_exception"):
        return task._handle_thread_exception(runner, error)
    return RunResult(
        status=RunStatus.Error,
        timing=[],
        thread_id="",
        execution_time=0.0,
        adapter_response={},
        message=f"Exception on worker thread. {error}",
        failures=None,
        node=runner.node,
    )


def mark(task: Any) -> tuple[int, int]:
    """Where the results of hooks end that have run so far; for hooks_since and hook_results_since."""
    return len(task.node_results), len(getattr(task, "ran_hooks", ()))


def hook_results_since(task: Any, start: tuple[int, int]) -> list[Any]:
    """The results of the hooks that ran since a mark; dbt 1.8 keeps none of those that went well."""
    return [result for result in task.node_results[start[0] :] if hasattr(result, "node")]


def hooks_since(task: Any, start: tuple[int, int]) -> tuple[dict[str, str], ...]:
    """{"name", "status", "message"} of each hook that ran since a mark."""
    hooks = [
        {"name": hook.name, "status": "success", "message": ""} for hook in getattr(task, "ran_hooks", ())[start[1] :]
    ]
    for result in task.node_results[start[0] :]:
        name = result.node.name if hasattr(result, "node") else str(result.message).split(" ", 1)[0]
        hooks.append({"name": name, "status": str(result.status), "message": str(result.message or "")})
    return tuple(hooks)


def before_run(task: Any, adapter: Any, selected: frozenset[str]) -> str:
    """How the hooks before a run ended: "success", or dbt's word for what went wrong. dbt 1.8 raises instead."""
    status = task.before_run(adapter, selected)
    return "success" if status is None else str(status)
