"""Microbatch models: a window is kept with its batches, and later tries build what is left of it."""

import os
import re
import signal
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest
from django.conf import settings

from runs.logs import store
from runs.models import Attempt, Lane, Run
from runs.operations.invariants import check
from runs.planning.kept_settings import Choice
from runs.planning.reruns import rerun
from tests.helpers.engines import finished, make_flow, run_to_end, start, write_project
from tests.helpers.graphs import states
from tests.helpers.pages import Person
from tests.helpers.waiting import until

DAYS = 4
# `trouble` is what the batch of the third day does while the flag is there.
MODEL = """{{{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='happened',
  batch_size='day', begin='{begin}', lookback=1,
  concurrent_batches=false) }}}}
{{% set bad = false %}}
{{% if execute and model.batch %}}
  {{% do log('BUILDS ' ~ model.batch.id ~ ' refresh ' ~ flags.FULL_REFRESH, info=true) %}}
  {{% set bad = model.batch.id == '{third}' and run_query("select count(*) from glob('{flag}')").rows[0][0] > 0 %}}
{{% endif %}}
select happened, i from {{{{ ref('events') }}}} {{{{ "{trouble}" if bad }}}}
"""
EVENTS = """{{{{ config(materialized='table', event_time='happened') }}}}
select cast('{begin}' as timestamp) + to_days(cast(i as integer)) + interval 1 hour as happened, i
from range({days}) t(i)
"""
FAILS = "where error('the third day is bad') is null"
TAKES_LONG = "where (select sum(a.range * b.range) from range(1000000) a, range(1000000) b) > 0"


def day(number: int) -> str:
    """The day so many days after the first; the last one is today."""
    return (datetime.now(UTC) - timedelta(days=DAYS - 1 - number)).strftime("%Y-%m-%d")


def days() -> list[str]:
    return [day(number) for number in range(DAYS)]


@pytest.fixture(autouse=True)
def within_one_day():
    """dbt builds batches up to the present moment: a test that midnight falls into sees one day more."""
    now = datetime.now(UTC)
    left = (now.replace(hour=0, minute=0, second=0) + timedelta(days=1) - now).total_seconds()
    if left < 180:
        time.sleep(left + 1)


@pytest.fixture
def flag(tmp_path) -> Path:
    made = tmp_path / "flag"
    made.write_text("there is trouble")
    return made


def project(flag: Path, trouble: str = FAILS, **models: str) -> Path:
    by_day = MODEL.format(begin=day(0), third=day(2).replace("-", ""), flag=flag, trouble=trouble)
    made = {"events": EVENTS.format(begin=day(0), days=DAYS), "by_day": by_day}
    return write_project(flag.parent / "p", {**made, **models})


def built(run: Run, fence: int = 0) -> list[str]:
    """The batches that an attempt built, the latest unless said otherwise."""
    tries = Attempt.objects.filter(task_run__run=run, task_run__identifier="by_day").order_by("fence")
    attempt = tries.get(fence=fence) if fence else tries.last()
    lines = store.read(attempt.log_path).text.splitlines()
    return sorted({re.search(r"BUILDS (\d+)", line).group(1) for line in lines if "BUILDS" in line})


def batches(run: Run) -> list[tuple[str, str]]:
    rows = run.task_runs.get(identifier="by_day").result["batches"]["rows"]
    return [(row["label"], row["status"]) for row in rows]


def days_of(run: Run) -> list[int]:
    """What the table holds."""
    until(lambda: not Lane.objects.exclude(owner="").exists(), 20)
    folder = Path(settings.DEX_HOME) / "warehouses" / f"environment-{run.flow.environment_id}"
    with duckdb.connect(str(next(folder.glob("*.duckdb"))), read_only=True) as connection:
        return [i for (i,) in connection.execute("select i from main.by_day order by i").fetchall()]


def ids(*numbers: int) -> list[str]:
    return [day(number).replace("-", "") for number in numbers]


AGAIN = [{}, {"keys": ["model.small.by_day"], "mode": "here"}, {"revision": "newest"}]


@pytest.mark.parametrize("options", AGAIN, ids=["from the failure", "from the model", "on fixed code"])
def test_a_rerun_builds_the_batch_that_failed_and_no_other(engine, flag, options):
    run = run_to_end(make_flow(project(flag)))
    assert states(run) == {"events": "succeeded", "by_day": "failed"}
    assert batches(run) == list(zip(days(), ["success", "success", "error", "success"], strict=True))
    assert "the third day is bad" in run.task_runs.get(identifier="by_day").result["batches"]["rows"][2]["message"]
    assert days_of(run) == [0, 1, 3]
    if "revision" in options:
        project(flag, "where true")
    else:
        flag.unlink()
    again = finished(rerun(run, actor="ada", **options))
    assert states(again) == {"events": "reused", "by_day": "succeeded"}
    assert built(again) == ids(2)
    assert batches(again) == [(each, "success") for each in days()]
    assert days_of(run) == [0, 1, 2, 3]
    assert check() == []


def test_a_retry_builds_the_batch_that_failed_and_no_other(engine, flag):
    run = start(make_flow(project(flag), retries=1, retry_delay=2))
    until(lambda: run.task_runs.filter(identifier="by_day", state="waiting").exists(), 60)
    flag.unlink()
    assert finished(run).state == "succeeded"
    assert (built(run, 1), built(run, 2)) == (ids(0, 1, 2, 3), ids(2))
    assert days_of(run) == [0, 1, 2, 3]


def test_a_lost_session_costs_the_batches_that_were_not_built_yet(engine, flag):
    run = start(make_flow(project(flag, TAKES_LONG)))

    rows = run.task_runs.filter(identifier="by_day")
    two = ["success", "success", "", ""]
    until(
        lambda: (
            [batch["status"] for row in rows.all() for batch in row.result.get("batches", {}).get("rows", ())] == two
        ),
        60,
    )
    flag.unlink()
    os.killpg(Attempt.objects.get(task_run__identifier="by_day").pid, signal.SIGKILL)
    assert finished(run).state == "succeeded"
    assert built(run, 2) == ids(2, 3)
    assert days_of(run) == [0, 1, 2, 3]
    assert check() == []


def test_a_full_refresh_holds_for_a_rerun_and_keeps_the_batches_that_were_built(engine, flag):
    flow = make_flow(project(flag), {"all": {"full_refresh": True}})
    run = run_to_end(flow)
    flow.nodes.update(full_refresh=False)
    flag.unlink()
    again = finished(rerun(run, actor="ada"))
    assert again.task_runs.get(identifier="by_day").spec["full_refresh"] is True
    assert "refresh True" in store.read(Attempt.objects.get(task_run__run=again).log_path).text
    assert built(again) == ids(2)
    assert days_of(run) == [0, 1, 2, 3]
    other = finished(rerun(run, actor="ada", choice=Choice(full_refresh="no")))
    assert "refresh False" in store.read(Attempt.objects.get(task_run__run=other).log_path).text


def test_a_rerun_has_the_window_of_the_first_try_unless_another_is_asked_for(engine, flag):
    flag.unlink()
    flow = make_flow(project(flag))
    run_to_end(flow)
    (flag.parent / "p" / "models" / "events.sql").write_text("select nonsense")
    run = run_to_end(flow)
    assert states(run) == {"events": "failed", "by_day": "skipped"}
    (flag.parent / "p" / "models" / "events.sql").write_text(EVENTS.format(begin=day(0), days=DAYS))
    Run.objects.filter(pk=run.pk).update(started_at=run.started_at - timedelta(days=2))  # two days pass
    again = finished(rerun(run, actor="ada", revision="newest"))
    assert [label for label, _ in batches(again)] == [day(0), day(1)]
    third = finished(rerun(again, actor="ada", mode="all"))
    assert [label for label, _ in batches(third)] == [day(0), day(1)]
    now = finished(rerun(run, actor="ada", revision="newest", choice=Choice(window="now")))
    assert [label for label, _ in batches(now)] == [day(2), day(3)]


def test_all_batches_are_built_again_when_that_is_asked_for_or_what_they_read_was_rebuilt(engine, flag):
    run = run_to_end(make_flow(project(flag)))
    flag.unlink()
    whole = finished(rerun(run, actor="ada", choice=Choice(window="whole")))
    assert built(whole) == ids(0, 1, 2, 3)
    above = finished(rerun(run, actor="ada", keys=["model.small.events"], mode="here"))
    assert built(above) == ids(0, 1, 2, 3)


def test_a_model_whose_table_was_dropped_is_built_again(engine, flag):
    run = run_to_end(make_flow(project(flag)))
    days_of(run)
    folder = Path(settings.DEX_HOME) / "warehouses" / f"environment-{run.flow.environment_id}"
    with duckdb.connect(str(next(folder.glob("*.duckdb")))) as connection:
        connection.execute("drop table main.by_day")
    flag.unlink()
    again = finished(rerun(run, actor="ada"))
    assert built(again) == ids(0, 1, 2, 3)
    assert days_of(run) == [0, 1, 2, 3]


def test_the_panel_shows_the_batches_and_the_dialog_what_becomes_of_them(engine, flag):
    run = run_to_end(make_flow(project(flag)))
    person = Person("ada", "everything")
    row = run.task_runs.get(identifier="by_day")
    panel = person.open(f"/runs/{run.pk}/?task={row.pk}").html
    assert f"3 of 4 built, 1 failed, from {day(0)} to {day(3)}." in panel
    listed = panel[panel.index("<h3>Batches") :]
    assert all(f'<span class="mono">{each}</span>' in listed for each in days()) and "the third day is bad" in listed
    page = person.open(f"/runs/{run.pk}/rerun/")
    form = page.form("rerun")
    assert (form.fields["window"], form.fields["full_refresh"]) == (["failed"], ["same"])
    flag.unlink()
    person.post(page, form, {"start": "1", "window": "whole", "full_refresh": "no"})
    again = finished(run.reruns.get())
    assert (again.scope["window"], again.scope["full_refresh"]) == ("whole", "no")
    assert built(again) == ids(0, 1, 2, 3)


ON_POSTGRESQL = """{{{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='happened',
  batch_size='day', begin='{begin}', lookback=1, unique_key='i') }}}}
{{% set bad = false %}}
{{% if execute and model.batch %}}
  {{% do log('BUILDS ' ~ model.batch.id, info=true) %}}
  {{% set bad = model.batch.id == '{third}' and env_var('DBT_TROUBLE', '') and run_query(
    "select count(*) from pg_ls_dir('{folder}') f where f = 'flag'").rows[0][0] > 0 %}}
{{% endif %}}
select happened, i from {{{{ ref('events') }}}} {{{{ "where i / (i - i) > 0" if bad }}}}
"""
EVENTS_ON_POSTGRESQL = """{{{{ config(materialized='table', event_time='happened') }}}}
select '{begin}'::timestamp + i * interval '1 day' + interval '1 hour' as happened, i
from generate_series(0, {last}) i
"""


@pytest.fixture
def open_folder():
    """A folder that the server, as somebody else, can read; a second pytest closes pytest's own to others."""
    with tempfile.TemporaryDirectory(prefix="dex-tests-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_rerun_builds_the_batch_that_failed_on_postgresql_too(engine, open_folder, postgres_profile, settings):
    settings.DBT_ENVIRONMENT = {**settings.DBT_ENVIRONMENT, "DBT_TROUBLE": "yes"}
    third, folder, flag = day(2).replace("-", ""), open_folder, open_folder / "flag"
    flag.touch()
    models = {
        "events": EVENTS_ON_POSTGRESQL.format(begin=day(0), last=DAYS - 1),
        "by_day": ON_POSTGRESQL.format(begin=day(0), third=third, folder=folder),
    }
    run = run_to_end(make_flow(write_project(folder / "p", models, profiles_yml=postgres_profile)))
    assert [status for _, status in batches(run)] == ["success", "success", "error", "success"]
    assert "1 of 4 batches failed" in run.task_runs.get(identifier="by_day").reason
    flag.unlink()
    again = finished(rerun(run, actor="ada"))
    assert again.state == "succeeded" and built(again) == ids(2)
    port = int(re.search(r"port: (\d+)", postgres_profile).group(1))
    with psycopg.connect(host="127.0.0.1", port=port, user="dex", dbname="dex") as connection:
        assert connection.execute("select i from marts.by_day order by i").fetchall() == [(0,), (1,), (2,), (3,)]
