"""Tests of warehouses: made by a worker in a child process on the project's dbt, never by the web process."""

import json
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from flows.infra import process
from flows.infra.redaction import Redactor
from nodes.dbt.runtime import CODE, Runtime
from nodes.dbt.warehouse import database_dir
from nodes.dbt.warehouses.base import PREFIX
from nodes.dbt.warehouses.problems import LONGEST, explain, no_adapter, sentence
from nodes.dbt.warehouses.registry import title_of
from nodes.models import WarehouseCheck
from nodes.runtimes.choices import row_of, runtime_for
from nodes.runtimes.wanted import RuntimeProblem
from nodes.services.warehouse_checks import PROBLEMS, CheckOrder, order_for
from runs.logs.masking import redactor_of_environment

TIMEOUT_S = 30.0
LIMITS = process.Limits(memory=16 * 1024**3, nice=5)  # an address space: DuckDB and Java reserve a lot of it
_LARGEST = 1024 * 1024  # bytes of what the child prints


def make(check_id: int) -> None:
    """Make a test with the project's dbt and keep its result; one that another worker has taken is left alone."""
    if not WarehouseCheck.objects.filter(pk=check_id, taken_at=None).update(taken_at=Now()):
        return
    check = WarehouseCheck.objects.select_related("environment__project", "environment__current_revision").get(
        pk=check_id
    )
    digest, details, passed = "", "", []
    home = Path(settings.DEX_HOME) / "work" / f"warehouse-check-{check.pk}"
    try:
        order = order_for(check.environment)
        digest, passed = order.digest, [text for name, text in order.env.items() if name.startswith(PREFIX)]
        runtime = runtime_for(check.environment, row_of(check.environment.project), order.kind).runtime
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        ok, kind, message, details = ask(order, runtime, home, database_dir(check.environment))
    except RuntimeProblem as error:
        ok, kind, message = False, "adapter", str(error)
    except PROBLEMS as error:
        ok, kind, message = False, "setting", str(error)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    known, parts = redactor_of_environment(check.environment), Redactor(passed)  # parts: of a service account's file

    def masked(text: str) -> str:
        return parts.whole(known.whole(text))

    WarehouseCheck.objects.filter(pk=check.pk).update(
        done_at=Now(),
        ok=ok,
        kind=kind,
        message=masked(message)[:2000],
        details=masked(details)[:2000],
        settings_digest=digest,
    )


def ask(order: CheckOrder, runtime: Runtime, home: Path, cwd: Path) -> tuple[bool, str, str, str]:
    """Connect as the order says. Out: whether all is well, what is wrong as a kind and a sentence, the adapter's words.

    In: `home`, a folder of this test; `cwd`, from where relative paths of a DuckDB file count.
    """
    project = home / "project"
    project.mkdir()
    (project / "dbt_project.yml").write_text(f"name: check\nversion: '1.0'\nprofile: {json.dumps(order.profile)}\n")
    names = defaultdict(lambda: "''", {name: _quoted(value) for name, value in order.settings.items()})
    questions = [probe.sql.format_map(names) for probe in order.probes]
    answer = _run(
        {
            "project_dir": str(project),
            "profiles_dir": str(order.profiles_dir),
            "profile": order.profile,
            "target": order.target,
            "vars": order.variables,
            "questions": questions,
        },
        order.env,
        runtime,
        home,
        cwd,
    )
    if isinstance(answer, str):
        return False, *_without_answer(order, runtime, answer)
    if answer["error"]:
        kind, message = explain(order.kind, order.settings, answer["error"])
        said = answer["error"][:LONGEST]
        return False, kind, message or f"dbt could not connect to {title_of(order.kind)}; the adapter says why.", said
    unanswered = ""
    for probe, found in zip(order.probes, answer["answers"], strict=True):
        if said := found.get("error"):
            kind, message = explain(order.kind, order.settings, said)
            if message:
                return False, kind, message, said[:LONGEST]
            unanswered = said[:LONGEST]
        elif found["value"] in (None, False, 0, ""):
            return False, probe.kind, sentence(probe.message, order.settings), ""
    note = " Its permissions could not be checked." if unanswered else ""
    return True, "", f"Connected to {title_of(order.kind)}.{note}", unanswered


def _run(order: Mapping[str, Any], env: Mapping[str, str], runtime: Runtime, home: Path, cwd: Path) -> Any:
    """What the child answers; a text that says how it ended where it did not."""
    log = bytearray()
    asked, result = home / "order.json", home / "answer.json"
    asked.write_text(json.dumps({**order, "result": str(result)}, default=str))
    child = process.start(
        [runtime.python, "-m", "nodes.dbt.debug_child", str(asked)],
        env=process.clean_environment({**env, "PYTHONPATH": str(CODE)}, home=home),
        cwd=cwd,
        limits=LIMITS,
        preload=runtime.preload,
        on_output=lambda data: log.extend(data[: max(0, _LARGEST - len(log))]),
    )
    if child.wait(TIMEOUT_S) is None:
        child.kill_tree(grace_int=1, grace_term=1)
        return "timeout"
    try:
        return json.loads(result.read_text())
    except (OSError, ValueError):
        return log.decode(errors="replace")[-LONGEST:] or "no output"


def _without_answer(order: CheckOrder, runtime: Runtime, ended: str) -> tuple[str, str, str]:
    title = title_of(order.kind)
    if ended == "timeout":
        return "timeout", f"{title} did not answer within {TIMEOUT_S:g} seconds. Check host, port and firewall.", ""
    if runtime.version == (0, 0):
        return "adapter", no_adapter(order.kind), ended
    return "other", f"The process that connects to {title} ended unexpectedly.", ended


def _quoted(value: Any) -> str:
    """A setting as a text of SQL."""
    return "'" + str(value).replace("'", "''") + "'"
