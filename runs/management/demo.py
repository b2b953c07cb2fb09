"""What the demo shows: a shop's flow from a folder, with a script after its marts, and one from a Git repository."""

import csv
import json
import secrets
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from flows.infra import process
from flows.models import Environment, Flow, Project
from flows.projects.services import check_folder
from flows.variables.values import save_variable
from nodes.connections.services import save_connection, save_streams
from nodes.kinds.connection import CONNECTION
from nodes.kinds.script import SCRIPT
from nodes.models import Connection, Node
from nodes.services import arrange, link, save_node
from nodes.services.sync import SyncError, sync

SAMPLE = Path(settings.BASE_DIR) / "tests" / "sample_project"
SHOP, FROM_GIT = "Daily shop", "Shop from Git"
NODES = [
    # name, include, exclude: the guide's Example 1 and its corrected Example 2, with what they stand on
    ("Raw data", ["resource_type:seed"], []),
    ("Staging", ["tag:staging"], []),
    ("Marts", ["tag:mart"], ["tag:revenue"]),
    ("Revenue", ["tag:revenue"], []),
]
REPORT = "revenue_report"
DATABASE, FILES = "shop_database", "shop_files"  # the schemas that the connections load into
TABLES: dict[str, dict[str, Any]] = {"customers": {}, "orders": {"mode": "merge", "primary_key": ["id"]}}
SOURCES = f"""version: 2
sources:
  - name: {DATABASE}
    tables: [{{name: customers}}, {{name: orders}}]
  - name: {FILES}
    tables: [{{name: payments}}]
"""
_GIT = ("-c", "user.name=dex demo", "-c", "user.email=demo@localhost", "-c", "core.hooksPath=/dev/null")


class DemoError(Exception):
    """The demo cannot be set up; the message says why."""


def shop_flow(folder: Path = SAMPLE, *, script: bool = True) -> Flow:
    """The sample shop's project, environment and flow; made at the first call.

    In: a copy of the sample project; `script`, whether its report is a node. Raises DemoError.
    """
    try:
        path = str(check_folder(str(folder.absolute())))
    except ValidationError as error:
        raise DemoError(" ".join(error.messages)) from error
    project, _ = Project.objects.update_or_create(name="shop", defaults={"path": path})
    environment, _ = Environment.objects.get_or_create(project=project, name="demo")
    _sync(environment)
    if not project.variables.filter(name="CURRENCY").exists():
        save_variable(project, None, "CURRENCY", "EUR", secret=False)
    flow, _ = Flow.objects.get_or_create(
        name=SHOP,
        defaults={
            "environment": environment,
            "description": "Loads the raw data, builds staging, marts and revenue in the order of refs, and reports.",
        },
    )
    for name, include, exclude in NODES:
        if not flow.nodes.filter(name=name).exists():
            save_node(Node(flow=flow, name=name, include=include, exclude=exclude))
    has_report = (folder / "dex-custom-scripts" / REPORT / "__main__.py").is_file()
    if script and has_report and not flow.nodes.filter(name="Report").exists():
        arguments = [{"key": "most", "value": "5"}, {"key": "currency", "value": "{{ CURRENCY }}"}]
        report = save_node(Node(flow=flow, name="Report", kind=SCRIPT.name, package=REPORT, arguments=arguments))
        link(flow.nodes.get(name="Revenue"), report)
    return flow


def git_flow(folder: Path = SAMPLE) -> Flow | None:
    """A flow with all three kinds of nodes, on the branch of a repository that is made on the spot.

    A database and a folder of files are loaded, the models that read them are built, and a script reports. None where
    there is no git. Raises DemoError.
    """
    if shutil.which("git") is None:
        return None
    bare = Path(settings.DEX_HOME) / "demo" / "shop.git"
    if not bare.is_dir():
        _make_repository(folder, bare)
    project, _ = Project.objects.update_or_create(name="shop-git", defaults={"path": str(bare)})
    environment, _ = Environment.objects.get_or_create(project=project, name="main", defaults={"branch": "main"})
    _sync(environment)
    flow, _ = Flow.objects.get_or_create(
        name=FROM_GIT,
        defaults={
            "environment": environment,
            "description": "Loads the shop's database and its payment files, builds the marts, and reports. From Git.",
        },
    )
    for connection in _connections(project, _data(folder)):
        if not flow.nodes.filter(name=connection.name).exists():
            save_node(Node(flow=flow, name=connection.name, kind=CONNECTION.name, connection=connection))
    if not flow.nodes.filter(name="Models").exists():
        save_node(Node(flow=flow, name="Models", include=["tag:staging", "tag:mart"]))
    if not flow.nodes.filter(name="Report").exists():
        arguments = [{"key": "most", "value": "3"}]
        report = save_node(Node(flow=flow, name="Report", kind=SCRIPT.name, package=REPORT, arguments=arguments))
        link(flow.nodes.get(name="Models"), report)
        arrange(flow)
    return flow


def _connections(project: Project, data: Path) -> list[Connection]:
    """The shop's database and its payment files, as connections."""
    connections = []
    for name, connector, dataset, typed, tables in (
        ("Shop database", "sql_database", DATABASE, {"system": "sqlite", "path": str(data / "shop.sqlite")}, TABLES),
        ("Payment files", "files", FILES, {"place": "local", "folder": str(data / "payments")}, {"payments": {}}),
    ):
        row = project.connections.filter(name=name).first()
        if row is None:
            row = Connection(project=project, name=name, connector=connector, dataset=dataset)
            if connector == "files":
                typed["tables"] = json.dumps([{"name": "payments", "pattern": "*.csv"}])
            save_connection(row, typed)
            save_streams(row, tables)
        connections.append(row)
    return connections


def _data(folder: Path) -> Path:
    """The shop's data where connections may read: a SQLite file, and a folder of CSV files, one a year."""
    data = Path(settings.CONNECT_FILES[0]) / "shop"
    if (data / "shop.sqlite").is_file():
        return data
    (data / "payments").mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(data / "shop.new") as database:
        for table in TABLES:
            with (folder / "seeds" / f"raw_{table}.csv").open(newline="") as file:
                head, *rows = csv.reader(file)
            kinds = [f"{column} {'integer' if column.endswith('id') else 'text'}" for column in head]
            database.execute(f"create table {table} ({', '.join(kinds)}, primary key (id))")
            database.executemany(f"insert into {table} values ({', '.join('?' * len(head))})", rows)  # noqa: S608
    with (folder / "seeds" / "raw_payments.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    for year in sorted({row[-1][:4] for row in rows}):
        with (data / "payments" / f"payments-{year}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([head, *(row for row in rows if row[-1].startswith(year))])
    (data / "shop.new").rename(data / "shop.sqlite")
    return data


def administrator() -> tuple[str, str]:
    """The demo's administrator and its password: random, made once, kept in a file that only its owner reads."""
    path = Path(settings.DEX_HOME) / "keys" / "demo_password"
    users = get_user_model().objects
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(12))
    password = path.read_text()
    user, created = users.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
    if created:
        user.set_password(password)
        user.save()
    elif not user.check_password(password):
        password = "(the one you set)"  # noqa: S105 - a remark, not a password
    return user.get_username(), password


def _sync(environment: Environment) -> None:
    try:
        sync(environment)
    except SyncError as error:
        raise DemoError(f"the sample project does not parse: {error}") from error


def _make_repository(folder: Path, bare: Path) -> None:
    """A bare repository with one commit: the sample project, reading what connections load instead of seeds."""
    work = bare.parent / "work"
    shutil.rmtree(bare.parent, ignore_errors=True)
    shutil.copytree(
        folder, work, ignore=shutil.ignore_patterns("target", "logs", "dbt_packages", "*.duckdb*", ".git", "seeds")
    )
    staging = work / "models" / "staging"
    for path in staging.glob("*.sql"):
        path.write_text(_reading_sources(path.read_text()))
    (staging / "sources.yml").write_text(SOURCES)
    building = bare.with_suffix(".new")
    for command in (
        ("init", "--quiet", "--template=", "-b", "main"),
        ("add", "--all"),
        ("commit", "--quiet", "-m", "The sample shop"),
        ("clone", "--quiet", "--bare", "--no-hardlinks", str(work), str(building)),
    ):
        env = process.clean_environment({"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"})
        done = process.run(["git", *_GIT, *command], env=env, cwd=work, timeout=60)
        if not done.ok:
            raise DemoError(f"git {command[0]} failed: {done.errors.decode(errors='replace')[:300]}")
    building.rename(bare)


def _reading_sources(sql: str) -> str:
    for table in TABLES:
        sql = sql.replace(f"ref('raw_{table}')", f"source('{DATABASE}', '{table}')")
    lines = [line for line in sql.splitlines() if not line.startswith("-- depends_on")]
    return (
        "\n".join(lines).replace("source('payment_provider', 'raw_payments')", f"source('{FILES}', 'payments')") + "\n"
    )
