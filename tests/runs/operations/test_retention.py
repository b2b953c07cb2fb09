"""What is deleted when it is old, what never is, and that the history stays consistent."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db.models import F
from django.utils import timezone

from flows.models import Environment, Flow, Project, Revision, Tick
from runs.logs import store
from runs.models import Acknowledgement, Attempt, Channel, Delivery, Event, Heartbeat, Run, TaskRun, Transition
from runs.operations import invariants, rounds
from runs.operations.retention import prune
from tests.helpers.graphs import DIAMOND, drain, open_graph
from tests.helpers.pages import sample_flow
from tests.helpers.paths import SAMPLE

pytestmark = pytest.mark.django_db
FAIL = {"a": {"end": "fail"}}


def ran(days, name="Orders", specs=None, *, finish=True):
    """A run of the flow of this name that ended so many days ago."""
    run = open_graph(DIAMOND, specs)
    run = drain(run) if finish else run
    back = timedelta(days=days)
    project, _ = Project.objects.get_or_create(name="shop", defaults={"path": str(SAMPLE)})
    where, _ = Environment.objects.get_or_create(project=project, name="main")
    flow, _ = Flow.objects.get_or_create(name=name, defaults={"environment": where})
    rows = Run.objects.filter(pk=run.pk)
    rows.update(flow=flow, created_at=F("created_at") - back, started_at=F("started_at") - back)
    if finish:
        rows.update(ended_at=F("ended_at") - back)
        tries = Attempt.objects.filter(task_run__run=run)
        tries.update(started_at=F("started_at") - back, ended_at=F("ended_at") - back)
    run.refresh_from_db()
    return run


def left():
    return set(Run.objects.values_list("pk", flat=True))


def test_old_runs_go_with_all_that_belongs_to_them_and_the_latest_stay():
    old, failed = ran(100), ran(99, specs=FAIL)
    good, latest = ran(98), ran(97, specs=FAIL)
    Acknowledgement.objects.create(run=failed, by="ann")
    other = ran(300, "Never again")
    made = prune(timezone.now())
    assert left() == {good.pk, latest.pk, other.pk} and (made.runs, made.task_runs) == (2, 8)
    gone = [old.pk, failed.pk]
    assert not TaskRun.objects.filter(run__in=gone).exists() and not Acknowledgement.objects.exists()
    assert not Transition.objects.filter(run__in=gone).exists()
    assert invariants.check() == []
    assert prune(timezone.now()).runs == 0


def test_active_runs_and_those_that_they_repeat_stay_whatever_their_age():
    first, again = ran(200, specs=FAIL), ran(190, finish=False)
    Run.objects.filter(pk=again.pk).update(retry_of=first)
    ran(1)
    prune(timezone.now())
    assert {first.pk, again.pk} < left()


def test_zero_days_keep_for_ever(settings):
    settings.KEEP_RUNS_DAYS = settings.KEEP_LOGS_DAYS = settings.KEEP_TICKS_DAYS = 0
    ran(9000), ran(1)
    made = prune(timezone.now())
    assert len(left()) == 2 and made.runs == made.logs == made.due_times == 0


def test_logs_go_before_their_runs_but_not_those_of_the_latest(settings, tmp_path):
    settings.DEX_HOME = tmp_path
    old, latest = ran(40), ran(35)
    paths = {run.pk: store.path_of(Attempt.objects.filter(task_run__run=run)[0].log_path) for run in (old, latest)}
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("said")
        path.with_suffix(".sql").write_text("select 1")
        path.with_suffix(".rows.json").write_text('{"test.x": {"columns": ["name"], "rows": [["Ada"]]}}')
    made = prune(timezone.now())
    assert not paths[old.pk].exists() and not paths[old.pk].with_suffix(".sql").exists()
    assert not paths[old.pk].parent.exists()  # the rows of failed tests too
    assert paths[latest.pk].exists() and left() == {old.pk, latest.pk}
    assert made.logs == 4 and made.log_bytes >= 12 and prune(timezone.now()).logs == 0
    assert not Attempt.objects.filter(task_run__run=old).exclude(log_path="").exists()


def test_old_messages_go_but_what_is_still_to_be_sent_stays():
    old, _ = ran(100), ran(99)
    ran(1)
    channel = Channel.objects.create(name="ops", kind="webhook", target="https://x.example/", events=["failure"])
    for key, status in (("1", "sent"), ("2", "waiting"), ("3", "failed"), ("young", "sent")):
        Delivery.objects.create(channel=channel, run=old, event="failure", key=key, subject=key, status=status)
    Delivery.objects.exclude(key="young").update(created_at=timezone.now() - timedelta(days=100))
    Event.objects.create(key="late 1", at=timezone.now() - timedelta(days=100))
    made = prune(timezone.now())
    assert made.messages == 2 and not Event.objects.exists()
    assert set(Delivery.objects.values_list("key", flat=True)) == {"2", "young"}


def test_a_log_outside_of_the_folder_is_never_deleted(tmp_path):
    old, _ = ran(40), ran(1)
    victim = tmp_path / "precious"
    victim.write_text("x")
    Attempt.objects.filter(task_run__run=old).update(log_path=str(victim))
    prune(timezone.now())
    assert victim.exists()


def test_pruned_due_times_are_not_missing_afterwards():
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    flow = sample_flow("Daily", cron="0 2 * * *")
    flow.changes.all().delete()
    since = now - timedelta(days=200)
    document = {"schedule": {"cron": "0 2 * * *", "time_zone": "UTC"}}
    change = flow.changes.create(version=1, document=document, actor="ann")
    type(change).objects.filter(pk=change.pk).update(at=since)
    Flow.objects.filter(pk=flow.pk).update(decided_until=now)
    days = [now.replace(hour=2) - timedelta(days=back) for back in range(200)]
    Tick.objects.bulk_create(Tick(flow=flow, due_at=at, outcome="missed") for at in days)
    for at in days[5::50]:
        run = ran(0, "Daily")
        Tick.objects.filter(due_at=at).update(outcome="run")
        row = Tick.objects.get(due_at=at)
        Run.objects.filter(pk=run.pk).update(flow=flow, tick=row, created_at=at, started_at=at, ended_at=at)
    planned = Tick.objects.create(flow=flow, due_at=now - timedelta(days=150, hours=5), outcome="planned", cause="once")
    assert invariants.check() == []
    made = prune(now)
    assert 100 < made.due_times < 120 and Tick.objects.filter(pk=planned.pk).exists()
    assert invariants.check() == []
    until = invariants.pruned_until()
    assert now - timedelta(days=92) < until < now - timedelta(days=89)
    Heartbeat.objects.filter(pk="pruned").delete()
    assert invariants.check() != []


def test_a_dry_run_counts_the_same_and_deletes_nothing(capsys):
    ran(100, specs=FAIL), ran(99), ran(98)
    said = []
    for flags in (["--dry-run"], []):
        before = left()
        call_command("prune", *flags)
        printed = capsys.readouterr()
        said.append(json.loads(printed.out))
        assert (left() == before) is bool(flags) and "task runs" in printed.err
    assert said[0].pop("dry_run") is True and said[1].pop("dry_run") is False
    assert said[0] == said[1] and said[0]["runs"] == 2


def test_the_sweeper_prunes_once_a_day_a_little_at_a_time(monkeypatch):
    old, _ = ran(100), ran(1)
    rounds.sweep(force=True)
    assert old.pk not in left() and Heartbeat.objects.filter(pk="prune").exists()
    other = ran(99)
    Run.objects.filter(pk=other.pk).update(flow=None)
    rounds.sweep(force=True)
    assert other.pk in left()  # its turn is tomorrow
    Heartbeat.objects.filter(pk="prune").update(at=timezone.now() - timedelta(days=2))
    monkeypatch.setattr(rounds, "PRUNE_S", 0)
    rounds.sweep(force=True)
    monkeypatch.setattr(rounds, "PRUNE_S", 5)
    rounds.sweep(force=True)  # what was left over comes at once
    assert other.pk not in left()


def test_folders_of_revisions_stay_while_something_uses_them(settings, tmp_path):
    settings.DEX_HOME, settings.KEEP_REVISIONS = tmp_path, 1
    run = ran(1)
    where = Environment.objects.get(project__name="shop")
    made = []
    for number in range(5):
        entry = tmp_path / "dbt" / f"r{number}"
        (entry / "project").mkdir(parents=True)
        (entry / "target").mkdir()
        (entry / "target" / "compact").write_text("x")
        folder = {
            "project_dir": str(entry / "project"),
            "profiles_dir": str(entry),
            "target_dir": str(entry / "target"),
        }
        files = {"manifest_path": str(entry / "m"), "compact_path": str(entry / "target" / "compact")}
        row = Revision.objects.create(environment=where, key=f"r{number}", fingerprint="f", **folder, **files)
        made.append((row, entry))
    Run.objects.filter(pk=run.pk).update(revision=made[0][0])
    Environment.objects.filter(pk=where.pk).update(current_revision=made[4][0])
    assert prune(timezone.now(), dry_run=True).revisions == 2
    assert prune(timezone.now()).revisions == 2
    assert [entry.exists() for _, entry in made] == [True, False, False, True, True]
    assert Revision.objects.filter(environment=where).count() == 5


def test_the_folder_of_a_dead_session_is_deleted_after_a_week_and_a_living_one_stays(tmp_path, settings):
    settings.DEX_HOME = tmp_path
    folders = [tmp_path / "sessions" / name for name in ("home", "a" * 32, "b" * 32, "c" * 32)]
    old = (timezone.now() - timedelta(days=8)).timestamp()
    for folder in folders:
        (folder / "target").mkdir(parents=True)
        (folder / "target" / "dbt.log").touch()
        for path in (folder / "target" / "dbt.log", folder / "target", folder):
            os.utime(path, (old, old))
    (folders[2] / "target" / "dbt.log").touch()  # it runs for long, and writes
    assert prune(timezone.now(), dry_run=True).sessions == 2 and all(folder.is_dir() for folder in folders)
    assert prune(timezone.now()).sessions == 2
    assert [folder.is_dir() for folder in folders] == [True, False, True, False]
