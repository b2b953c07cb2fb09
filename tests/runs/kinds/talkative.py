"""A dbt project whose models, tests and hooks print all that they can read of their invocation.

The same project goes through `dbt build` and through a run of dex, and what both printed is compared.
"""

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dbt.flags import get_flag_dict
from django.conf import settings

from flows.infra import process
from nodes.dbt.runtime import built_in
from runs.logs import store
from runs.models import Attempt, Run
from tests.helpers.engines import write_project
from tests.helpers.paths import ROOT

MARK = "READ|"
# All that get_flag_obj of dbt/flags.py gives to Jinja.
FLAGS = sorted({*(name.upper() for name in get_flag_dict()), "FULL_REFRESH", "STORE_FAILURES", "WHICH"})

MACROS = """
{% macro tell(place, key, value) %}
  {% set text = tojson(value, value | string, true) %}
  {% do log('READ|' ~ place ~ '|' ~ key ~ '|' ~ text, info=true) %}
{% endmacro %}

{% macro tell_each(place, kind, values) %}
  {% for name, value in values.items() %}{% do tell(place, kind ~ '.' ~ name, value | string) %}{% endfor %}
{% endmacro %}

{% macro tell_all(place) %}
  {% if execute %}
    {% for name in FLAGS %}{% do tell(place, 'flags.' ~ name, flags[name] | string) %}{% endfor %}
    {% do tell_each(place, 'args', invocation_args_dict) %}
    {% do tell_each(place, 'target', target) %}
    {% do tell_each(place, 'envs', dbt_metadata_envs) %}
    {% do tell(place, 'invocation_id', invocation_id) %}
    {% do tell(place, 'run_started_at', run_started_at | string) %}
    {% do tell(place, 'thread_id', thread_id) %}
    {% do tell(place, 'selected_resources', selected_resources | sort) %}
    {% do tell(place, 'project_name', project_name) %}
    {% do tell(place, 'dbt_version', dbt_version) %}
    {% do tell(place, 'env_var', env_var('DBT_TALKATIVE', 'nothing')) %}
    {% do tell(place, 'var', var('day', 'nothing')) %}
    {% for kind, found in graph.items() %}
      {% do tell(place, 'graph.' ~ kind, found.keys() | list | sort) %}
      {% if place in ('on-run-start', 'on-run-end') %}{% do tell_each(place, 'graph.' ~ kind, found) %}{% endif %}
    {% endfor %}
    {% if model is defined %}{% do tell(place, 'model.config', model.config | string) %}{% endif %}
  {% endif %}
{% endmacro %}

{% macro tell_results() %}
  {% if execute %}
    {% for r in results | sort(attribute='unique_id') %}
      {% do tell('results', r.node.unique_id, {
        'status': r.status | string, 'message': r.message, 'failures': r.failures, 'thread_id': r.thread_id,
        'timing': r.timing | map(attribute='name') | list, 'adapter_response': r.adapter_response,
        'batches': r.batch_results.to_dict() if r.batch_results else none,
        'compiled': r.node.compiled_code if r.node.compiled_code is defined else none,
        'relation': r.node.relation_name if r.node.relation_name is defined else none,
        'took_time': r.execution_time > 0}) %}
    {% endfor %}
    {% do tell('results', 'how many', results | length) %}
    {% do tell('results', 'schemas', schemas | sort) %}
    {% do tell('results', 'database_schemas', database_schemas | sort) %}
  {% endif %}
{% endmacro %}
""".replace("FLAGS", repr(FLAGS))

PROFILE = "small: {target: dev, outputs: {dev: {type: duckdb, path: warehouse.duckdb, schema: main, threads: 1}}}\n"

PROJECTS = ROOT / "tests"


def write_zoo(folder: Path) -> Path:
    """The project in which all of dbt stands once: its tests/zoo_project, with the macros that tell."""
    shutil.copytree(PROJECTS / "zoo_project", folder)
    (folder / "macros" / "tell.sql").write_text(MACROS)
    (folder / "dbt_packages").mkdir()
    (folder / "dbt_packages" / "shared").symlink_to("../packages/shared")  # as `dbt deps` does
    return folder


def write_quiet(folder: Path, models: Mapping[str, str], yml: str, profile: str = PROFILE) -> Path:
    """A project with the macros alone, and these models; on DuckDB unless the profile says otherwise."""
    return write_project(folder, models, dbt_project=yml, **{"macros__tell.sql": MACROS, "profiles_yml": profile})


def read_of(lines: Iterable[str]) -> dict[tuple[str, str], Any]:
    """(place, what) -> the value that was printed last."""
    found = {}
    for line in lines:
        if MARK in line:
            place, what, value = line.split(MARK, 1)[1].split("|", 2)
            found[place, what] = json.loads(value)
    return found


def read_by_dbt(folder: Path, *arguments: str) -> dict[tuple[str, str], Any]:
    """What the project prints in a command of dbt."""
    return read_of(dbt(folder, *arguments).splitlines())


def dbt(folder: Path, *arguments: str) -> str:
    """Call dbt in the folder as a person does; what it printed."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("DBT_", "PYTHON"))}
    argv = [sys.executable, "-m", "dbt.cli.main", *arguments]
    env = {**clean, **settings.DBT_ENVIRONMENT}
    said = bytearray()
    process.start(argv, cwd=folder, env=env, on_output=said.extend, preload=built_in().preload).wait()
    return said.decode()


TOLD = {
    "DBT_TALKATIVE": "heard",
    "DBT_ENV_CUSTOM_ENV_TEAM": "finance",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
}


def command_of(read: Mapping[tuple[str, str], Any], place: str = "on-run-end") -> list[str]:
    """The command of dbt that a run of dex says it is, without the folders."""
    words = shlex.split(str(read[place, "flags.INVOCATION_COMMAND"]), posix=False)[1:]
    at = [number for number, word in enumerate(words) if word in ("--project-dir", "--profiles-dir")]
    return [word for number, word in enumerate(words) if number not in at and number - 1 not in at]


# Folders: dex reads a copy of the project and keeps a DuckDB file in a lasting folder of the environment.
FOLDERS = (
    "args.project_dir",
    "args.profiles_dir",
    "args.log_path",
    "flags.PROFILES_DIR",
    "flags.LOG_PATH",
    "target.path",
)
# Of each invocation its own.
OWN = ("invocation_id", "run_started_at")


def compared(read: Mapping[tuple[str, str], Any], folders: Iterable[object] = ()) -> dict[tuple[str, str], Any]:
    """What was printed, without what cannot be the same; each with its reason."""
    made = {}
    own = [str(value) for (_, what), value in read.items() if what in OWN]
    for (place, what), value in read.items():
        if what in FOLDERS or what in OWN:
            value = bool(value)
        elif what in ("flags.INVOCATION_COMMAND", "args.invocation_command"):
            value = re.sub(r" --(project|profiles)-dir \S+", "", value)  # folders
        elif what == "args.deprecated_env_var_warnings":
            value = re.sub("0x[0-9a-f]+", "0x", value)  # addresses of functions
        elif what.startswith("graph.") and isinstance(value, str):
            value = re.sub(r"'(created_at|root_path)': [^,}]+", r"'\1'", value)  # when and where it was parsed
            value = re.sub(r"<\w+\.\w+: ('[^']*')>", r"\1", value)  # dbt prints these so after a parse of everything
            value = re.sub(r"'build_path': [^,}]+|'compiled_path': [^,}]+", "", value)
            for word in own:  # in what was compiled, which dbt shows there since 1.12
                value = value.replace(word, "<own>")
        if isinstance(value, str):
            for folder in folders:
                value = value.replace(str(folder), "<folder>")
        made[place, what] = value
    return made


def without_compiled(read: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
    """Without what executions leave in `graph` since dbt 1.12; the next session knows little of a lost one's."""
    made = dict(read)
    for (place, what), value in read.items():
        if what.startswith("graph.nodes.") and isinstance(value, str):
            value = re.sub(r"'macros': \[[^]]*\]|'index': \d+", "", value)
            made[place, what] = re.sub("'compiled': True, .*(?='contract': )", "", value, flags=re.DOTALL)
    return made


def differences(mine: Mapping[tuple[str, str], Any], theirs: Mapping[tuple[str, str], Any]) -> list[str]:
    """What is not the same, a line each, from the first character on that differs."""
    made = []
    for key in sorted({*mine, *theirs}):
        one, two = (repr(read[key]) if key in read else "is not there" for read in (mine, theirs))
        if one != two:
            start = max(0, _alike(one, two) - 60)
            made.append(f"{', '.join(key)}: dex {one[start : start + 200]}, dbt {two[start : start + 200]}")
    return made


def _alike(one: str, two: str) -> int:
    """How many characters at the beginning are the same."""
    return next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


def read_in_run(run: Run) -> dict[tuple[str, str], Any]:
    """What the project printed in a run of dex, the latest attempt of each task."""
    lines: list[str] = []
    for attempt in Attempt.objects.filter(task_run__run=run).order_by("started_at", "pk"):
        lines += store.read(attempt.log_path, 0, 50_000_000).text.splitlines() if attempt.log_path else []
    return read_of(lines)
