"""All of dbt in one project: what a run of dex leaves behind is what `dbt build` leaves behind, whatever happens."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from django.conf import settings as django_settings

from runs.engine.recorded import results_of
from runs.models import Attempt, Flow, Lane, Run
from runs.operations.invariants import check
from runs.planning.reruns import rerun
from tests.helpers.engines import PROJECT_YML, finished, make_flow, start
from tests.helpers.waiting import until
from tests.runs.kinds.talkative import (
    MACROS,
    PROJECTS,
    TOLD,
    compared,
    dbt,
    differences,
    read_in_run,
    read_of,
    without_compiled,
    write_quiet,
    write_zoo,
)

# Times, of each run its own; what is made of them.
TIMES = ("dbt_valid_from", "dbt_valid_to", "dbt_updated_at", "dbt_scd_id")


def tables_of(path: Path) -> dict[str, Any]:
    """All that a warehouse holds: relation -> its kind, columns and rows. Invocations are counted, times left out."""
    found = {}
    with duckdb.connect(str(path), read_only=True) as connection:
        ids = [row[0] for row in connection.execute("select invocation_id from main.runs order by rowid").fetchall()]
        every = "select table_schema, table_name, table_type from information_schema.tables order by 1, 2"
        for schema, name, kind in connection.execute(every).fetchall():
            cursor = connection.execute(f'select * from "{schema}"."{name}"')
            columns = [(column[0], str(column[1])) for column in cursor.description]
            rows = [
                tuple(_plain(column, value, ids) for (column, _), value in zip(columns, row, strict=True))
                for row in cursor.fetchall()
            ]
            name = re.sub(r"__dbt_tmp\d+$", "__dbt_tmp", name)  # of a Python model; dbt leaves it there
            found[f"{schema}.{name}"] = {"kind": kind, "columns": columns, "rows": sorted(rows, key=repr)}
    return found


def _plain(column: str, value: Any, ids: list[str]) -> Any:
    if column in TIMES:
        return value is not None
    return ids.index(value) if value in ids else value


def different(mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """What is not the same in two warehouses, a line each."""
    made = [f"{name}: only in {'dex' if name in mine else 'dbt'}" for name in sorted({*mine} ^ {*theirs})]
    for name in sorted({*mine} & {*theirs}):
        one, two = mine[name], theirs[name]
        made += [f"{name}: dex {one[what]}, dbt {two[what]}" for what in ("kind", "columns") if one[what] != two[what]]
        rest = [row for row in two["rows"] if row not in one["rows"]]
        more = [row for row in one["rows"] if row not in two["rows"]]
        if rest or more or len(one["rows"]) != len(two["rows"]):
            counts = len(one["rows"]), len(two["rows"])
            made.append(f"{name}: only in dex {more}, only in dbt {rest}; {counts[0]} rows, {counts[1]} rows")
    return made


# A rerun builds a model again whose test failed: they are one task. `dbt retry` only tests it again.
ANEW = {
    "main.results": [(3, "model.zoo.tested", "success", "OK", None, "")],
    "main.visits": [("tested", 3, "False")],
}
# So it has one result more; and `dbt retry` tells hooks that nothing is selected.
COUNTS = ("main.of_package:", "main.runs:")


class Pair:
    """A project twice, for a flow of dex and for dbt."""

    def __init__(self, folder: Path, mine: Path, **fields: Any) -> None:
        self.troubles = folder / "troubles"
        self.troubles.mkdir()
        self.mine, self.theirs = mine, folder / "q"
        shutil.copytree(self.mine, self.theirs, symlinks=True)
        self.flow: Flow = make_flow(self.mine, {"all": {"indirect_selection": "eager"}}, threads=1, **fields)
        self.found: dict[str, list[str]] = {}

    def compare(self, stage: str, run: Callable[[], Run], *command: str, at_once: bool = True) -> Run:
        """Do the same by dex and by dbt, and note what differs of what was printed, recorded and built."""
        again = command[0] == "retry"
        with ThreadPoolExecutor() as pool:
            said = pool.submit(dbt, self.theirs, *command) if at_once else None
            made = run()
            theirs = read_of((said.result() if said else dbt(self.theirs, *command)).splitlines())
        mine = read_in_run(made)
        mine, theirs = compared(mine), compared(theirs)
        if "lost" in stage:
            mine, theirs = without_compiled(mine), without_compiled(theirs)
        found = differences(mine, theirs) if not again else []
        results = json.loads((self.theirs / "target" / "run_results.json").read_text())["results"]
        one = {key: (each["status"], each.get("failures")) for key, each in results_of(made.pk).items()}
        two = {each["unique_id"]: (each["status"], each["failures"]) for each in results}
        one |= {key: value for key, value in two.items() if key.startswith(("exposure.", "saved_query.", "operation."))}
        found += [
            f"{key}: dex {one.get(key)}, dbt {two.get(key)}"
            for key in sorted({*one, *two})
            if one.get(key) != two.get(key)
        ]
        built, theirs_built = tables_of(self.warehouse()), tables_of(next(self.theirs.glob("*.duckdb")))
        if again:
            found.remove("model.zoo.tested: dex ('success', None), dbt None")
            for name, rows in ANEW.items():
                for row in rows:
                    built[name]["rows"].remove(row)
        found += [line for line in different(built, theirs_built) if not again or not line.startswith(COUNTS)]
        if found:
            self.found[stage] = found
        return made

    def warehouse(self) -> Path:
        until(lambda: not Lane.objects.exclude(owner="").exists(), 20)
        folder = Path(django_settings.DEX_HOME) / "warehouses" / f"environment-{self.flow.environment_id}"
        return next(folder.glob("*.duckdb"))


@pytest.fixture
def told(engine, settings, tmp_path):
    """Variables of the environment that the projects ask for."""
    settings.DBT_ENVIRONMENT = {**settings.DBT_ENVIRONMENT, **TOLD, "DBT_ZOO": str(tmp_path / "troubles")}


THREADS = ("--threads", "1")
TROUBLES = ("bad_model", "bad_rows", "bad_batch")


def test_a_run_leaves_behind_what_dbt_build_leaves_behind(told, tmp_path):
    zoo = Pair(tmp_path, write_zoo(tmp_path / "p"), parameters=[{"name": "herd", "type": "text"}])
    flow = zoo.flow
    (zoo.troubles / "slow_model").touch()
    zoo.compare("with a session that is lost", lambda: lost_on_the_way(zoo), "build", *THREADS, at_once=False)
    flow.nodes.update(full_refresh=True)
    goose = ("--vars", '{"herd":"goose"}', "--full-refresh")
    run = zoo.compare("refresh", lambda: finished(start(flow, parameters={"herd": "goose"})), "build", *THREADS, *goose)
    flow.nodes.update(full_refresh=False)
    for trouble in TROUBLES:
        (zoo.troubles / trouble).touch()
    failed = zoo.compare("failure", lambda: finished(start(flow)), "build", *THREADS)
    for trouble in TROUBLES:
        (zoo.troubles / trouble).unlink()
    run = zoo.compare("retry", lambda: finished(rerun(failed, actor="ada")), "retry")
    assert run.state == "succeeded"
    assert zoo.found == {}
    assert check() == []


def lost_on_the_way(zoo):
    """A run whose session is killed in the middle: another goes on, and all of it is one invocation."""
    run = start(zoo.flow)
    slow = run.task_runs.filter(identifier__endswith="fragile", state="running")
    until(slow.exists, 60)
    (zoo.troubles / "slow_model").unlink()
    os.killpg(Attempt.objects.get(task_run=slow.get()).pid, signal.SIGKILL)
    assert Attempt.objects.filter(task_run__run=finished(run), task_run__identifier__endswith="fragile").count() == 2
    return run


TELL = """
on-run-start: ["{{ tell_all('on-run-start') }}"]
on-run-end: ["{{ tell_all('on-run-end') }}", "{{ tell_results() }}"]
"""
BOOKS = """
on-run-start: ["{{ open_books() }}", "{{ tell_all('on-run-start') }}"]
on-run-end: ["{{ tell_all('on-run-end') }}", "{{ tell_results() }}", "{{ write_books(results) }}"]
"""


def test_so_it_is_with_the_sample_project(told, tmp_path):
    folder = shutil.copytree(PROJECTS / "sample_project", tmp_path / "p")
    shutil.copy(PROJECTS / "zoo_project" / "macros" / "books.sql", folder / "macros")
    (folder / "macros" / "tell.sql").write_text(MACROS)
    with (folder / "dbt_project.yml").open("a") as file:
        file.write(BOOKS)
    shop = Pair(tmp_path, folder)
    run = shop.compare("sample", lambda: finished(start(shop.flow)), "build", *THREADS)
    assert run.state == "succeeded"
    assert shop.found == {}


ON_POSTGRESQL = {
    "a": "{{ config(materialized='table') }} select 1 as id",
    "v": "{{ tell_all('view') }} select id from {{ ref('a') }}",
    "m": "{{ config(materialized='materialized_view', indexes=[{'columns': ['id']}], on_configuration_change='fail') }}"
    "{{ tell_all('materialized view') }} select id from {{ ref('v') }}",
    "g": "{{ config(materialized='incremental') }} select id from {{ ref('m') }}",
}


def test_so_it_is_with_materialized_views_which_postgresql_has(told, tmp_path, postgres, postgres_profile):
    folder = write_quiet(tmp_path / "p", ON_POSTGRESQL, PROJECT_YML + TELL, postgres_profile)
    shutil.copytree(folder, tmp_path / "q")
    flow = make_flow(folder, {"all": {"indirect_selection": "eager"}}, threads=1)
    mine = [read_in_run(finished(start(flow))) for _ in range(2)]
    built = relations(postgres.port)
    theirs = [read_of(dbt(tmp_path / "q", "build", *THREADS).splitlines()) for _ in range(2)]
    for one, two in zip(mine, theirs, strict=True):
        assert differences(compared(one), compared(two)) == []
    assert relations(postgres.port) == built
    assert built["m"] == ("m", [(1,)]) and built["g"] == ("r", [(1,), (1,)])


def relations(port: int) -> dict[str, tuple[str, list[tuple[Any, ...]]]]:
    """What stands in the schema, with kind and rows; and it is empty again."""
    with psycopg.connect(host="127.0.0.1", port=port, user="dex", dbname="dex") as connection:
        query = (
            "select relname, relkind::text from pg_class where relnamespace = 'marts'::regnamespace and relkind <> 'i'"
        )
        found = {
            name: (kind, connection.execute(f'select * from marts."{name}"').fetchall())
            for name, kind in connection.execute(query).fetchall()
        }
        connection.execute("drop schema marts cascade")
    return found
