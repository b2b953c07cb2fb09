"""A small dbt project with one of everything that a session has to cope with, and a session to try it with."""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from nodes.dbt.client import SESSION, DbtClient, Event
from nodes.dbt.parse import ParsedProject, parse_project
from nodes.dbt.runtime import Runtime, built_in, runtime_at
from tests.helpers.paths import SAMPLE
from tests.helpers.waiting import patience

ENDLESS = "select sum(a.range * b.range) as s from range(3000000) a, range(200000) b"
SLOW = "{{ config(materialized='table') }} " + ENDLESS

FILES = {
    "dbt_project.yml": """
name: lab
version: "1.0"
config-version: 2
profile: lab
on-run-start: "create table if not exists {{ target.schema }}.starts (begun varchar, invocation varchar)"
on-run-end: "insert into {{ target.schema }}.starts values ('{{ run_started_at }}', '{{ results | length }}')"
vars: {factor: 1}
""",
    "models/one.sql": "select 1 as id",
    "models/printing.sql": "{{ log('hello from ' ~ this.name, info=true) }} select {{ var('factor') }} as factor",
    "models/printing_too.sql": "{{ log('hello from ' ~ this.name, info=true) }} select 1 as id",
    "models/ghost.sql": "{{ config(materialized='ephemeral') }}\n"
    "select id, '{{ run_started_at }}' as seen from {{ ref('one') }}",
    "models/haunted.sql": "{{ config(materialized='table') }} select * from {{ ref('ghost') }}",
    "models/bad_ghost.sql": "{{ config(materialized='ephemeral') }} select {{ (1 / 0) if execute else 1 }} as id",
    "models/haunted_badly.sql": "select * from {{ ref('bad_ghost') }}",
    "models/broken.sql": "select nonsense from {{ ref('one') }}",
    "models/growing.sql": """{{ config(materialized='incremental') }}
select {{ "2" if is_incremental() else "1" }} as run""",
    "models/never_refreshed.sql": """{{ config(materialized='incremental', full_refresh=false) }}
select {{ "2" if is_incremental() else "1" }} as run""",
    "models/slow.sql": SLOW,
    "models/slow_too.sql": "{{ config(materialized='table') }}\n"
    "select sum(a.range) as s from range(30000) a, range(20000) b",
    "models/events.sql": """{{ config(materialized='table', event_time='happened') }}
select timestamp '2026-01-01 10:00' + to_days(cast(i as integer)) as happened, i from range(4) t(i)""",
    "models/by_day.sql": """{{ config(materialized='incremental', incremental_strategy='microbatch',
  event_time='happened',
  batch_size='year', begin='2025-01-01', lookback=1) }}
select * from {{ ref('events') }}""",
    "models/in_python.py": """
def model(dbt, session):
    print("python speaks")
    return session.sql("select 42 as answer")
""",
    "models/checked.sql": "select * from (values (1), (1), (null)) t(id)",
    "models/unit.sql": "select id * 2 as twice from {{ ref('one') }}",
    "models/v.yml": """
models:
  - name: checked
    columns:
      - name: id
        data_tests:
          - unique
          - not_null: {config: {severity: warn}}
          - accepted_values: {arguments: {values: [1]}}
  - name: versioned
    latest_version: 2
    versions: [{v: 1}, {v: 2}]
  - name: contracted
    config: {materialized: table, contract: {enforced: true}}
    columns:
      - {name: id, data_type: integer, constraints: [{type: not_null}]}
unit_tests:
  - name: doubles
    model: unit
    given: [{input: ref('one'), rows: [{id: 4}]}]
    expect: {rows: [{twice: 8}]}
  - name: wrong
    model: unit
    given: [{input: ref('one'), rows: [{id: 4}]}]
    expect: {rows: [{twice: 9}]}
""",
    "models/versioned_v1.sql": "select 1 as v",
    "models/versioned_v2.sql": "select 2 as v",
    "models/contracted.sql": "select cast(1 as integer) as id",
    "tests/slow_test.sql": f"select * from ({ENDLESS}) where s < 0",
    "seeds/colours.csv": "id,name\n1,red\n2,green\n",
    "snapshots/snap.yml": """
snapshots:
  - name: snap
    relation: ref('one')
    config: {unique_key: id, strategy: check, check_cols: all}
""",
}  # fmt: skip


OLD_SNAPSHOT = """{% snapshot snap %}
{{ config(unique_key='id', strategy='check', check_cols='all', target_schema=target.schema) }}
select * from {{ ref('one') }}
{% endsnapshot %}"""


def files_for(version: tuple[int, int]) -> dict[str, str]:
    """The project as this line of dbt can read it: what a line does not have is left out."""
    files = dict(FILES)
    if version < (1, 10):
        files["models/v.yml"] = files["models/v.yml"].replace("{arguments: {values: [1]}}", "{values: [1]}")
    if version < (1, 9):
        del files["models/by_day.sql"], files["snapshots/snap.yml"]
        files["snapshots/snap.sql"] = OLD_SNAPSHOT
    return files


def write_lab(folder: Path) -> Path:
    """Write the project; it has no profiles.yml, so dex makes one on DuckDB."""
    for name, text in files_for(runtime_under_test().version).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))
    return folder


def sample_project(folder: Path) -> Path:
    """The sample project as the dbt under test reads it: before 1.10, arguments of tests stand beside their names."""
    if runtime_under_test().version >= (1, 10):
        return SAMPLE
    copy = Path(shutil.copytree(SAMPLE, folder / "sample"))
    for path in copy.glob("models/**/*.yml"):
        path.write_text(yaml.safe_dump(_arguments_beside(yaml.safe_load(path.read_text())), sort_keys=False))
    return copy


def _arguments_beside(value: Any) -> Any:
    if isinstance(value, list):
        return [_arguments_beside(each) for each in value]
    if not isinstance(value, dict):
        return value
    beside = value.get("arguments") if isinstance(value.get("arguments"), dict) else {}
    return {**{key: _arguments_beside(each) for key, each in value.items() if key != "arguments"}, **(beside or {})}


def runtime_under_test() -> Runtime:
    """The dbt that the tests of sessions run on: the one that dex ships, or that of DEX_TEST_RUNTIME, a virtualenv."""
    folder = os.environ.get("DEX_TEST_RUNTIME")
    return runtime_at(Path(folder)) if folder else built_in()


class Talk:
    """A session with somebody who waits for its answers."""

    def __init__(self, parsed: ParsedProject, work_dir: Path, **options: Any) -> None:
        self.parsed, self.events = parsed, []  # type: ignore[var-annotated]
        env, runtime = options.pop("env", {}), options.pop("runtime", None)
        self.output = bytearray()
        executor = options.pop("executor", SESSION)
        self.client = DbtClient(
            env=env, on_output=self.output.extend, runtime=runtime or runtime_under_test(), executor=executor
        )
        self.client.open(parsed, work_dir=work_dir, **options)
        self.until("ready")

    def until(self, name: str, count: int = 1, seconds: float = 60) -> list[Event]:
        """Wait for so many events of that name; everything seen on the way is kept."""
        found: list[Event] = []
        while len(found) < count:
            event = self.client.next_event(patience(seconds))
            assert event is not None, f"no {name} in {seconds} s; {bytes(self.output[-2000:])!r}"
            self.events.append(event)
            if event["event"] == name:
                found.append(event)
            else:
                assert event["event"] not in ("fatal", "died"), (event, bytes(self.output[-2000:]))
        return found

    def begin(self, ids: Iterable[str] | None = None) -> Event:
        manifest = json.loads(self.parsed.manifest_path.read_text())
        self.client.begin(ids or [*manifest["nodes"], *manifest["unit_tests"]])
        return self.until("begun")[0]

    def execute(self, unique_id: str, **options: Any) -> Event:
        self.client.execute(unique_id, unique_id, **options)
        return self.until("result")[0]

    def end(self) -> Event:
        self.client.end()
        return self.until("ended")[0]

    def log_of(self, task: str | None) -> str:
        return "\n".join(e["text"] for e in self.events if e["event"] == "log" and e["task"] == task)

    def close(self) -> None:
        self.client.close()
        if self.client.child.wait(patience(10)) is None:
            self.client.kill(0)


def checks_of(parsed: ParsedProject, unique_id: str) -> list[str]:
    """The data tests that belong to one model alone."""
    nodes = json.loads(parsed.manifest_path.read_text())["nodes"]
    return sorted(
        key
        for key, node in nodes.items()
        if node["resource_type"] == "test" and node["depends_on"]["nodes"] == [unique_id]
    )


def environment() -> dict[str, str]:
    """What the sample project's profiles.yml may ask for."""
    return {key: value for key, value in os.environ.items() if key.startswith(("DBT_", "DEX_POSTGRES_"))}


def parsed_lab(folder: Path, home: Path) -> ParsedProject:
    return parse_project(
        write_lab(folder), home=home, database_dir=home / "db", vars={"factor": 3}, runtime=runtime_under_test()
    )
