"""dbt itself, asked what a selection gives: the truth that dex's own selection is compared with.

`Oracle` copies a project, starts one child process that parses it with dbt, and then answers selections
with dbt's own node selector in a few milliseconds each. dbt is imported in the child only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

#: The interpreter whose dbt is asked: that of the runtime under test (bin/test-matrix), or dex's own.
PYTHON = (
    str(Path(os.environ["DEX_TEST_RUNTIME"], "bin", "python")) if "DEX_TEST_RUNTIME" in os.environ else sys.executable
)


class Oracle:
    """A live dbt on a writable copy of `project` in `folder`. Use it as a context manager."""

    def __init__(self, project: Path, folder: Path, state: Path | None = None) -> None:
        self.project = folder / "project"
        if project != self.project:
            shutil.copytree(project, self.project, ignore=shutil.ignore_patterns("target", "dbt_packages", "logs"))
        self.manifest = self.project / "target" / "manifest.json"
        self.state = state

    def __enter__(self) -> Oracle:
        environment = {
            **os.environ,
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DEX_WAREHOUSE_PATH": ":memory:",
            "PYTHONPATH": "",
        }
        self._child = subprocess.Popen(
            # -I: dbt imports every module named dbt_* that it can see, so this folder must not be on its path
            [PYTHON, "-I", "-W", "ignore", __file__, str(self.project), str(self.state or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=self.project,
            text=True,
        )
        ready = self._read()
        if "error" in ready:
            raise RuntimeError(ready["error"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(timeout=600)
        self._child.stdout.close()

    def ask(self, questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Ask {"include", "exclude", "resource_types", "indirect_selection"} in dbt's spelling; each answer is
        {"selected": [...], "unmatched": [terms that matched nothing]} or {"error": text}."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(questions) + "\n")
        self._child.stdin.flush()
        answer: list[dict[str, Any]] = self._read()
        return answer

    def _read(self) -> Any:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"dbt ended with exit code {self._child.wait()}")
        return json.loads(line)


def _serve(project: Path, state: str) -> None:
    """The child: parse, then answer one JSON list of questions a line."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever dbt prints must not mix with the answers
    from dbt.cli.main import dbtRunner

    common = ["--quiet", "--project-dir", str(project), "--profiles-dir", str(project)]
    unmatched: list[str] = []

    def note(event: Any) -> None:
        if event.info.name == "NoNodesForSelectionCriteria":
            unmatched.append(event.data.spec_raw)

    if (project / "packages.yml").exists() and not dbtRunner().invoke(["deps", *common]).success:
        print(json.dumps({"error": "dbt deps failed"}), file=out, flush=True)
        return
    parsed = dbtRunner().invoke(["parse", *common])
    if not parsed.success:
        print(json.dumps({"error": str(parsed.exception)}), file=out, flush=True)
        return
    from argparse import Namespace
    from inspect import signature

    from dbt.compilation import Linker
    from dbt.config.selectors import selector_config_from_data, selector_data_from_root
    from dbt.contracts.state import PreviousState
    from dbt.flags import get_flags, set_flags
    from dbt.graph import Graph, ResourceTypeSelector, parse_difference
    from dbt.task.base import resource_types_from_args
    from dbt.task.list import ListTask
    from dbt_common.events.contextvars import task_contextvars
    from dbt_common.events.event_manager_client import add_callback_to_manager

    manifest = parsed.result
    linker = Linker()
    linker.link_graph(manifest)
    graph = Graph(linker.graph)
    previous = PreviousState(Path(state), project / "target", project) if state else None
    flags = get_flags()

    knows_selectors = "selectors" in signature(ResourceTypeSelector).parameters

    def named() -> dict[str, Any]:
        """The selectors of selectors.yml, with the mode of this question; dbt 1.12 and later take them."""
        data = selector_data_from_root(str(project)) if knows_selectors else None
        return {"selectors": selector_config_from_data(data)} if data else {}

    add_callback_to_manager(note)
    print(json.dumps({"ready": len(graph.nodes())}), file=out, flush=True)
    for line in sys.stdin:
        answers: list[dict[str, Any]] = []
        for question in json.loads(line):
            unmatched.clear()
            object.__setattr__(flags, "INDIRECT_SELECTION", question.get("indirect_selection") or "eager")
            set_flags(flags)
            include = question.get("include")
            try:
                with task_contextvars(project_root=str(project)):
                    spec = parse_difference(include if include is None else tuple(include), question.get("exclude"))
                    arguments = Namespace(resource_types=question.get("resource_types"), exclude_resource_types=None)
                    types = resource_types_from_args(
                        arguments, set(ListTask.ALL_RESOURCE_VALUES), set(ListTask.DEFAULT_RESOURCE_VALUES)
                    )
                    selector = ResourceTypeSelector(graph, manifest, previous, list(types), True, **named())
                    answers.append({"selected": sorted(selector.get_selected(spec)), "unmatched": unmatched[:]})
            except Exception as error:
                answers.append({"error": f"{type(error).__name__}: {error}"})
        print(json.dumps(answers), file=out, flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2])
