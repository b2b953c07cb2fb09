"""A project with script packages for tests: parsed once, each test takes the package that it needs."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from flows.models import Environment, Flow, Project
from flows.variables.models import Variable
from flows.variables.values import save_variable
from nodes.models import Node
from nodes.services import save_node
from nodes.services.sync import sync
from runs.logs import store
from runs.models import Attempt, Run
from tests.helpers.engines import write_project

ENVIRONMENT = 900_001  # always the same, so that what was parsed is found again
#: package -> its __main__.py; one project for all tests here, so that dbt parses it once
PACKAGES: dict[str, str] = {}
REQUIREMENTS: dict[str, str] = {}


def package(name: str, code: str, requirements: str = "") -> str:
    """Add a package to the project of these tests; its name."""
    PACKAGES[name] = code
    if requirements:
        REQUIREMENTS[name] = requirements
    return name


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("scripts") / "small", {"a": "select 1 as id"})
    for name, code in PACKAGES.items():
        (folder / "dex-custom-scripts" / name).mkdir(parents=True)
        (folder / "dex-custom-scripts" / name / "__main__.py").write_text(code)
    for name, text in REQUIREMENTS.items():
        (folder / "dex-custom-scripts" / name / "requirements.txt").write_text(text)
    return folder


@pytest.fixture
def script_flow(project: Path) -> Callable[..., Flow]:
    def make(name: str, *, arguments: Iterable[tuple[str, str]] = (), **node: Any) -> Flow:
        """A flow with one script node `job` of a package."""
        made = Project.objects.create(name="small", path=str(project))
        place = Environment.objects.create(pk=ENVIRONMENT, project=made, name="test")
        sync(place)
        flow = Flow.objects.create(name="flow of small", environment=place)
        pairs = [{"key": key, "value": value} for key, value in arguments]
        save_node(Node(flow=flow, name="job", kind="script", package=name, arguments=pairs, **node))
        return flow

    return make


def log_of(run: Run, name: str = "job") -> str:
    attempt = Attempt.objects.filter(task_run__run=run, task_run__node_name=name).last()
    assert attempt is not None
    return store.read(attempt.log_path).text


def variable(flow: Flow, name: str, value: str, *, secret: bool = False) -> Variable:
    return save_variable(flow.environment.project, None, name, value, secret=secret)
