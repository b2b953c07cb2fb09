"""Rows of every kind, as an installation has them after a few days."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone

from flows.logins.models import LogIn
from flows.models import Environment, Flow, Project, Revision
from flows.variables.values import save_variable
from nodes.models import Connection, Link, Node
from nodes.services import link, save_node
from nodes.services.sync import sync
from runs.alerts.watching import announce
from runs.engine.executor import execute_task_run
from runs.models import Channel, Delivery, FailureGroup, Pool, Run, TaskRun
from tests.helpers.graphs import drain, open_graph
from tests.helpers.pages import Person
from tests.helpers.paths import SAMPLE

LONG = "a_name_that_goes_on_and_on_because_somebody_described_all_of_it_in_the_identifier_and_then_some_more"
PASSWORD = "correct horse battery staple"


@dataclass
class Rows:
    admin: User
    viewer: User
    group: Group
    environment: Environment
    broken: Environment
    flow: Flow
    node: Node
    link: Link
    failed: Run
    running: Run
    pool: Pool
    channel: Channel


_parsed: dict[str, Any] = {}


def parsed_shop() -> Environment:
    """The sample shop, parsed once a session: its files outlive the rows of a test."""
    project, _ = Project.objects.get_or_create(name="shop", defaults={"path": str(SAMPLE)})
    environment, made = Environment.objects.get_or_create(project=project, name="main")
    if not made:
        return environment
    if not _parsed:
        sync(environment)
        environment.refresh_from_db()
        row = Revision.objects.filter(pk=environment.current_revision_id or 0).values().get()
        _parsed.update({name: value for name, value in row.items() if name not in ("id", "environment_id")})
    else:
        environment.current_revision = Revision.objects.create(environment=environment, **_parsed)
        environment.synced_at = timezone.now()
        environment.save()
    return environment


def scheduled_flows() -> list[Flow]:
    """What the calendar shows: two flows collide, one overlaps with itself; a frequent, a new and a paused one."""
    now = timezone.now()
    made = []
    for name, cron, tags, took, fields in (
        ("Night load", "0 2 * * *", ["tag:staging", "tag:mart"], 47 * 60, {"time_zone": "Europe/Berlin"}),
        ("Marts for the morning", "30 2 * * *", ["tag:mart"], 12 * 60, {"time_zone": "Europe/Berlin"}),
        ("Stock levels", "*/5 * * * *", [], 20, {}),
        ("Click stream", "*/20 6-22 * * *", [], 26 * 60, {"overlap": "queue"}),
        ("Weekly report", "0 7 * * MON", [], None, {}),
        ("Hourly prices", "10 * * * *", [], 9 * 60, {}),
        ("Invoices by the end of the month", "0 3 L * *", [], 3600, {}),
        ("Old export", "0 4 * * *", [], 60, {"paused": True}),
    ):
        flow = Flow.objects.create(name=name, environment=parsed_shop(), cron=cron, decided_until=now, **fields)
        if tags:
            save_node(Node(flow=flow, name="Models", include=tags))
        begun = now - timedelta(days=3)
        if took is not None:
            ended = begun + timedelta(seconds=took)
            run = Run(flow=flow, flow_name=name, trigger="schedule", state="succeeded")
            run.environment_name, run.started_at, run.ended_at = str(flow.environment), begun, ended
            run.save()
            Run.objects.filter(pk=run.pk).update(created_at=begun)
        made.append(flow)
    return made


def some_variables(environment: Environment) -> None:
    """A secret, and a variable that a connection uses and another environment has of its own."""
    project = environment.project
    save_variable(project, None, "API_KEY", "correct-horse-battery", secret=True)
    save_variable(project, None, "REGION", "eu-central", secret=False)
    save_variable(project, environment, "CUSTOMER_DATA_WAREHOUSE_SCHEMA", LONG, secret=False)
    save_variable(project, project.environments.get(name="nightly"), "REGION", "us-west", secret=False)
    Connection.objects.create(
        project=project, name="CRM", connector="rest_api", dataset="raw_{{ REGION }}", streams=["orders"]
    )


def everything() -> Rows:
    flow = Flow.objects.create(
        name="Daily shop",
        environment=parsed_shop(),
        description="Orders, customers and revenue, every morning before the shop opens.",
    )
    staging = save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))
    marts = save_node(Node(flow=flow, name=LONG, include=["tag:mart"], exclude=["tag:revenue"]))
    arrow = link(staging, marts)
    broken = Environment.objects.create(
        project=flow.environment.project, name="nightly", sync_error="Compilation Error in model x\n  no such ref"
    )
    now = timezone.now()
    for hours, seconds in ((54, 201), (30, 192), (6, 187)):
        past = drain(open_graph({"staging.stg_orders": (), "marts.mart_orders": ("staging.stg_orders",)}))
        begun = now - timedelta(hours=hours)
        ended = begun + timedelta(seconds=seconds)
        Run.objects.filter(pk=past.pk).update(flow=flow, created_at=begun, started_at=begun, ended_at=ended)
    failed = open_graph(
        {"staging.stg_orders": (), "marts.mart_orders": ("staging.stg_orders",), "seeds.raw": ()},
        {"staging.stg_orders": {"end": "fail", "print": "Catalog Error: Table raw_orders does not exist"}},
    )
    drain(failed)
    running = open_graph({"a": (), "b": ("a",), "c": ("b",), "d": ("c",), "e": ("d",)})
    for identifier in ("a", "b", "c"):
        execute_task_run(running.task_runs.get(identifier=identifier).pk)
    Run.objects.filter(pk=failed.pk).update(
        started_at=now - timedelta(seconds=71), ended_at=now - timedelta(seconds=24)
    )
    admin = Person("ada", "everything").user
    admin.first_name, admin.last_name, admin.email = "Ada", "Lovelace", "ada@example.org"
    admin.set_password(PASSWORD)
    admin.save()
    group = Group.objects.get_or_create(name="viewer")[0]
    viewer = Person("vera", "flows.view_flow", "runs.view_run").user
    viewer.groups.add(group)
    # What tests of the engine call these is not what people see.
    assert failed.flow is not None
    Flow.objects.filter(pk=failed.flow.pk).update(name="Hourly orders")
    Environment.objects.filter(pk=failed.flow.environment_id).update(name="main")
    Project.objects.filter(environments=failed.flow.environment_id).update(name="orders")
    Run.objects.filter(flow=failed.flow).update(flow_name="Hourly orders", environment_name="orders / main")
    Run.objects.filter(flow=flow).update(flow_name=flow.name, environment_name=str(flow.environment))
    said = "Catalog Error: Table with name raw_orders does not exist!"
    TaskRun.objects.filter(run=failed, state="failed").update(reason=said)
    for minutes, name, outcome, refused in (
        (190, "ada", "succeeded", 0),
        (12, "", "failed", 0),
        (4, "vera", "failed", 0),
        (3, "vera", "failed", 17),
        (1, "vera", "succeeded", 0),
    ):
        at = now - timedelta(minutes=minutes)
        LogIn.objects.create(at=at, account=name, name=name, address="192.0.2.17", outcome=outcome, refused=refused)
    channel = Channel.objects.create(
        name="Data team",
        kind="webhook",
        target="https://hooks.example.org/…",
        events=["failure", "recovered", "late"],
    )
    Channel.objects.create(
        name="Finance", kind="email", target="finance@example.org", events=["success"], tags=["finance"], enabled=False
    )
    Channel.objects.update(since=now - timedelta(days=1))
    announce(failed.pk)
    FailureGroup.objects.update(note="The load of the night was late. Run Night load, then rerun from here.", count=14)
    Delivery.objects.update(
        status="waiting", attempts=2, last_error="answered 503 Service Unavailable", next_at=now + timedelta(minutes=2)
    )
    for number, (status, event) in enumerate([("sent", "recovered"), ("failed", "late"), ("muted", "failure")]):
        subject = f"Hourly orders #{number} {event}"
        Delivery.objects.create(channel=channel, event=event, key=f"row {number}", subject=subject, status=status)
    return Rows(
        admin=admin,
        viewer=viewer,
        group=group,
        environment=flow.environment,
        broken=broken,
        flow=flow,
        node=marts,
        link=arrow,
        failed=failed,
        running=running,
        pool=Pool.objects.create(name="warehouse", slots=2),
        channel=channel,
    )
