"""Runs in a runtime's own interpreter: can dex use this dbt? Prints {"problem", "no_session", "version", "python"}.

Imports what parses and sessions import, and compares the functions of dbt that sessions call with what they are given.
`problem`: dex cannot use it at all; `no_session`: only by dbt's commands.
"""

import inspect
import json
import platform
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

#: module, function -> the parameters that a session relies on, in this order from the first
TAKEN = (
    ("dbt.parser.manifest", "parse_manifest", ("runtime_config", "write_perf_info", "write", "write_json")),
    ("dbt.task.build", "BuildTask.before_run", ("self", "adapter", "selected_uids")),
    ("dbt.task.build", "BuildTask.after_run", ("self", "adapter", "results")),
    ("dbt.task.build", "BuildTask.populate_adapter_cache", ("self", "adapter", "required_schemas")),
    ("dbt.task.build", "BuildTask.get_hooks_by_type", ("self", "hook_type")),
    ("dbt.task.build", "BuildTask.get_runner", ("self", "node")),
    ("dbt.task.build", "BuildTask.call_runner", ("self", "runner")),
)


def check(adapters: "list[str]") -> str:
    """Why dex cannot use this dbt; "" when it can. In: names of packages below dbt.adapters."""
    needed = ("nodes.dbt.parse_child", *(f"dbt.adapters.{name}" for name in adapters))
    return next((problem for module in needed if (problem := _import(module))), "")


def check_sessions() -> str:
    """Why sessions cannot run here; "" when they can."""
    if problem := _import("nodes.dbt.session"):
        return problem
    for module, name, parameters in TAKEN:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is None:
            return f"{module} has no {name}"
        given = tuple(inspect.signature(found).parameters)
        if given[: len(parameters)] != parameters:
            return f"{name} of {module} takes {', '.join(given)}, not {', '.join(parameters)}"
    return ""


def _import(module: str) -> str:
    try:
        import_module(module)
    except Exception as error:  # whatever an import of other people's code raises
        return f"{module.removeprefix('nodes.')} cannot be imported: {type(error).__name__}: {error}"[:600]
    return ""


if __name__ == "__main__":
    problem = check(sys.argv[1:])
    answer = {"problem": problem, "no_session": problem or check_sessions()}
    answer |= {"version": version("dbt-core"), "python": platform.python_version()}
    sys.stdout.write("\n" + json.dumps(answer))
