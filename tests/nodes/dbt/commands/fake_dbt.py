"""A program in the place of dbt that plays a scene: lines of a log, pauses, run_results.json, an end."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nodes.dbt.client import COMMAND, DbtClient, Event
from nodes.dbt.parse import ParsedProject
from nodes.dbt.profiles import Profile
from nodes.dbt.runtime import Runtime
from tests.helpers.waiting import patience

SELF = r"""#!%s
import json, os, signal, sys, time
from pathlib import Path
home = Path(__file__).parent
number = len(list(home.glob("call-*")))
(home / f"call-{number}").write_text(json.dumps(sys.argv[1:]))
target = Path(sys.argv[sys.argv.index("--target-path") + 1])
for step in json.loads((home / "scenes.json").read_text())[number]:
    (name, value), = step.items()
    if name == "say":
        print(value if isinstance(value, str) else json.dumps(value), flush=True)
    elif name == "wait_for":
        while not (home / value).exists():
            time.sleep(0.02)
    elif name == "when_interrupted":
        def say(*_, lines=value):
            for line in lines:
                print(json.dumps(line["say"]), flush=True)
            sys.exit(1)
        signal.signal(signal.SIGINT, say)
    elif name == "results":
        (target / "run_results.json").write_text(json.dumps({"results": value}))
    elif name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "exit":
        sys.exit(value)
"""


def event(name: str, unique_id: str = "", *, msg: str = "", level: str = "info", **data: Any) -> dict[str, Any]:
    """A line of dbt's JSON log."""
    node = {"node_info": {"unique_id": unique_id, "node_status": data.pop("node_status", "")}} if unique_id else {}
    return {"say": {"info": {"name": name, "level": level, "msg": msg}, "data": {**node, **data}}}


def begins(unique_id: str) -> list[dict[str, Any]]:
    """What dbt 1.x says when it begins a resource."""
    return [
        event("NodeStart", unique_id, level="debug", node_status="started"),
        event("LogStartLine", unique_id, msg=f"START {unique_id}", node_status="started"),
    ]


def ends(unique_id: str, status: str = "success", message: str = "") -> dict[str, Any]:
    """What dbt 1.x says when a resource has ended."""
    result = {"status": status, "message": message, "execution_time": 0.5, "num_failures": 0}
    return event("NodeFinished", unique_id, level="debug", node_status=status, run_result=result)


def builds(unique_id: str, status: str = "success", message: str = "") -> list[dict[str, Any]]:
    """From the beginning to the end of one resource."""
    return [*begins(unique_id), ends(unique_id, status, message)]


def row(unique_id: str, status: str = "success") -> dict[str, Any]:
    """A row of run_results.json."""
    return {"unique_id": unique_id, "status": status, "message": status, "execution_time": 0.5, "failures": None}


class Stage:
    """A supervisor of a project with models a, b and c, with the fake dbt, and somebody who waits for its answers."""

    def __init__(self, folder: Path, scenes: Iterable[Iterable[Mapping[str, Any]]], plan: bool = True) -> None:
        self.folder, self.events = folder, []  # type: ignore[var-annotated]
        (folder / "scenes.json").write_text(json.dumps([list(scene) for scene in scenes]))
        program = folder / "dbt"
        program.write_text(SELF % sys.executable)
        program.chmod(0o755)
        nodes = {
            f"model.p.{name}": {
                "fqn": ["p", name],
                "package_name": "p",
                "original_file_path": f"models/{name}.sql",
                "depends_on": {"nodes": [f"model.p.{up}"] if up else []},
            }
            for name, up in (("a", ""), ("b", "a"), ("c", "b"))
        }
        parsed = folder / "parsed"
        parsed.mkdir()
        (parsed / "manifest.json").write_text(json.dumps({"nodes": nodes, "metadata": {"dbt_version": "2.0.0"}}))
        profile = Profile(name="p", target="t", type="postgres", threads=1, database=None, output={})
        self.parsed = ParsedProject("f", parsed / "manifest.json", folder, folder, parsed, profile)
        self.client = DbtClient(runtime=Runtime(str(folder / "python"), ()), executor=COMMAND)
        self.client.open(self.parsed, work_dir=folder / "work", threads=1)
        self.until("ready")
        self.client.begin([])
        self.until("begun")
        if plan:
            self.client.plan(
                {**order(name), "key": name, "needs": [up] if up else []}
                for name, up in (("a", ""), ("b", "a"), ("c", "b"))
            )

    def execute(self, name: str) -> None:
        """Order a model; its task is its name and a 1."""
        self.client.execute(f"{name}1", **order(name), key=name)

    def until(self, kind: str) -> Event:
        """Wait for an event of that kind; all that is seen on the way is kept."""
        while True:
            said = self.client.next_event(patience(20))
            assert said is not None, f"no {kind}; {self.events}"
            self.events.append(said)
            if said["event"] == kind:
                return said
            assert said["event"] not in ("fatal", "died"), said

    def go_on(self, name: str) -> None:
        """Let the fake dbt pass a `wait_for`."""
        (self.folder / name).touch()

    def arguments(self, number: int) -> list[str]:
        """The arguments of the command of that number."""
        arguments: list[str] = json.loads((self.folder / f"call-{number}").read_text())
        return arguments

    def selected(self, number: int) -> list[str]:
        """What the command of that number selected."""
        arguments = self.arguments(number)
        return arguments[arguments.index("--select") + 1 :]

    def log(self, task: str | None) -> list[str]:
        """The lines of a task; None for those of no task."""
        return [said["text"] for said in self.events if said["event"] == "log" and said["task"] == task]

    @property
    def calls(self) -> int:
        """How many processes of dbt there were."""
        return len(list(self.folder.glob("call-*")))

    def close(self) -> None:
        """End it."""
        self.client.kill(grace=2)


def order(name: str) -> dict[str, Any]:
    """What is executed for a model."""
    return {"unique_id": f"model.p.{name}"}
