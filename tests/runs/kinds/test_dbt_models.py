"""Flows of dbt models, executed by a real engine on real dbt and DuckDB."""

import itertools
import os
import re
import signal
import time
from pathlib import Path

import duckdb
import psycopg
import pytest
from django.conf import settings

from flows.models import Environment, Executor
from nodes.models import Expansion, Node
from nodes.services import save_node
from nodes.services.sync import SyncError, sync
from runs.logs import store
from runs.models import Attempt, Lane, TaskRun
from runs.operations.invariants import check
from runs.pages.run_detail.detail import detail_of
from runs.planning.reruns import rerun
from runs.services import cancel_run, cancel_task_run
from tests.helpers.engines import PROJECT_YML, finished, make_flow, run_to_end, start, write_project
from tests.helpers.graphs import states
from tests.helpers.pages import Person
from tests.helpers.waiting import until, within

SLOW = "select sum(a.range * b.range) as n from range(100000) a, range({n}) b"


@pytest.fixture
def executor(request, monkeypatch):
    """The executor of all environments that are made here."""
    monkeypatch.setattr(Environment._meta.get_field("executor"), "default", request.param)
    return request.param


def both(test):
    """The same flow by both executors: a dbt session, and commands of dbt."""
    each = pytest.mark.parametrize("executor", [Executor.SESSION, Executor.COMMAND], indirect=True)
    return pytest.mark.usefixtures("executor")(each(test))


def log_of(row: TaskRun) -> str:
    attempt = Attempt.objects.filter(task_run=row).last()
    return store.read(attempt.log_path).text


@both
def test_each_model_has_its_own_state_log_and_compiled_sql(engine, tmp_path):
    models = {"a": "select 1 as id", "b": "select id from {{ ref('a') }}"}
    run = run_to_end(make_flow(write_project(tmp_path / "p", models)))
    assert states(run) == {"a": "succeeded", "b": "succeeded"}
    b = run.task_runs.get(identifier="b")
    assert "model main.b" in log_of(b) and "model main.a" not in log_of(b)
    compiled = store.read(b.result["compiled"]).text
    assert '"main"."a"' in compiled
    assert b.result["execution_time"] > 0
    assert check() == []


@both
def test_a_broken_model_fails_its_run_skips_what_needs_it_and_nothing_else(engine, tmp_path):
    models = {
        "good": "select 1 as id",
        "broken": "select nonsense from {{ ref('good') }}",
        "below": "select * from {{ ref('broken') }}",
        "further": "select * from {{ ref('below') }}",
        "beside": "select * from {{ ref('good') }}",
    }
    run = run_to_end(make_flow(write_project(tmp_path / "p", models)))
    assert run.state == "failed"
    assert states(run) == {
        "good": "succeeded",
        "broken": "failed",
        "below": "skipped",
        "further": "skipped",
        "beside": "succeeded",
    }
    assert "nonsense" in run.task_runs.get(identifier="broken").reason
    assert run.task_runs.get(identifier="further").reason == "upstream broken failed"
    assert "nonsense" in log_of(run.task_runs.get(identifier="broken"))
    assert check() == []


TESTED = """
models:
  - name: a
    columns:
      - name: id
        data_tests:
          - not_null:
              config: {severity: %s}
"""


@both
@pytest.mark.parametrize(
    ("severity", "ends"),
    [
        ("error", {"a": "failed", "b": "skipped"}),
        ("warn", {"a": "succeeded", "b": "succeeded"}),
    ],
)
def test_a_failing_test_blocks_what_is_downstream_unless_it_only_warns(engine, tmp_path, severity, ends):
    models = {"a": "select cast(null as int) as id", "b": "select * from {{ ref('a') }}"}
    flow = make_flow(write_project(tmp_path / "p", models, models__schema_yml=TESTED % severity))
    run = run_to_end(flow)
    assert states(run) == ends
    tests = run.task_runs.get(identifier="a").result["tests"]
    assert [(t["name"], t["status"]) for t in tests] == [("not_null_a_id", "fail" if severity == "error" else "warn")]


@both
def test_models_run_without_their_tests_when_the_node_says_run(engine, tmp_path):
    models = {"a": "select cast(null as int) as id", "b": "select * from {{ ref('a') }}"}
    project = write_project(tmp_path / "p", models, models__schema_yml=TESTED % "error")
    run = run_to_end(make_flow(project, {"all": {"command": "run"}}))
    assert states(run) == {"a": "succeeded", "b": "succeeded"}


@both
def test_a_rerun_from_failure_reuses_what_succeeded(engine, tmp_path):
    project = write_project(
        tmp_path / "p", {"a": "select 1 as id", "b": "select * from {{ ref('a') }} where {{ var('x', 'x') }}"}
    )
    run = run_to_end(make_flow(project))
    assert states(run) == {"a": "succeeded", "b": "failed"}
    again = finished(rerun(run, actor="ada"))
    assert states(again) == {"a": "reused", "b": "failed"}
    assert states(run) == {"a": "succeeded", "b": "failed"}  # history does not change
    one = finished(rerun(run, actor="ada", keys=["model.small.a"]))
    assert states(one)["a"] == "succeeded"
    assert check() == []


@both
def test_cancelling_a_run_stops_the_query_and_says_who_did_it(engine, tmp_path):
    models = {
        "slow": "{{ config(materialized='table') }} " + SLOW.format(n=1000000),
        "b": "select * from {{ ref('slow') }}",
    }
    run = start(make_flow(write_project(tmp_path / "p", models)))
    until(lambda: run.task_runs.filter(identifier="slow", state="running").exists(), 60)
    time.sleep(1)
    with within(8):
        cancel_run(run.pk, actor="ada")
        finished(run)
    assert run.state == "cancelled"
    assert states(run) == {"slow": "cancelled", "b": "cancelled"}
    assert run.cancel_requested_by == "ada"
    assert check() == []


@both
def test_cancelling_one_model_leaves_the_others_alone(engine, tmp_path):
    models = {
        "slow": "{{ config(materialized='table') }} " + SLOW.format(n=1000000),
        "other": "{{ config(materialized='table') }} " + SLOW.format(n=300),
    }
    run = start(make_flow(write_project(tmp_path / "p", models)))
    slow = until(lambda: run.task_runs.filter(identifier="slow", state="running").first(), 60)
    cancel_task_run(slow.pk, actor="ada")
    finished(run)
    assert states(run) == {"slow": "cancelled", "other": "succeeded"}


@both
def test_a_model_that_takes_longer_than_its_limit_fails_with_a_timeout(engine, tmp_path):
    models = {"slow": "{{ config(materialized='table') }} " + SLOW.format(n=1000000), "quick": "select 1 as id"}
    run = run_to_end(make_flow(write_project(tmp_path / "p", models), timeout=2))
    assert states(run) == {"slow": "failed", "quick": "succeeded"}
    assert "timeout after 2 s" in run.task_runs.get(identifier="slow").reason


@both
def test_a_killed_session_costs_only_what_was_in_flight(engine, tmp_path):
    models = {
        "first": "select 1 as id",
        "slow": "{{ config(materialized='table') }} select * from {{ ref('first') }}, (" + SLOW.format(n=20000) + ")",
        "last": "select * from {{ ref('slow') }}",
    }
    run = start(make_flow(write_project(tmp_path / "p", models)))
    slow = until(lambda: run.task_runs.filter(identifier="slow", state="running").first(), 60)
    time.sleep(0.3)
    attempt = Attempt.objects.get(task_run=slow)
    os.killpg(attempt.pid, signal.SIGKILL)
    finished(run)
    assert run.state == "succeeded"
    tries = {name: Attempt.objects.filter(task_run__identifier=name).count() for name in models}
    assert tries == {"first": 1, "slow": 2, "last": 1}
    assert Attempt.objects.filter(task_run=slow).first().outcome == "lost"
    assert check() == []


def test_a_second_run_of_the_same_revision_uses_the_session_that_is_open(engine, tmp_path):
    flow = make_flow(write_project(tmp_path / "p", {"a": "select 1 as id"}))
    first = run_to_end(flow)
    until(lambda: not Lane.objects.exclude(owner="").exists(), 20)
    second = run_to_end(flow)
    pids = set(Attempt.objects.filter(task_run__run__in=[first, second]).values_list("pid", flat=True))
    assert len(pids) == 1


@both
def test_two_flows_on_one_duckdb_file_take_turns(engine, tmp_path):
    flow = make_flow(write_project(tmp_path / "p", {"a": "{{ config(materialized='table') }} " + SLOW.format(n=200)}))
    runs = [start(flow) for _ in range(3)]
    for run in runs:
        assert finished(run).state == "succeeded"
    spans = sorted(TaskRun.objects.values_list("started_at", "ended_at"))
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


@both
def test_parameters_of_a_flow_reach_its_models_as_vars(engine, tmp_path):
    project = write_project(tmp_path / "p", {"a": 'select \'{{ var("day", "none") }}\' as day'})
    flow = make_flow(project, parameters=[{"name": "day", "type": "date"}])
    run = run_to_end(flow, parameters={"day": "2026-01-31"})
    assert run.state == "succeeded"
    assert "2026-01-31" in store.read(run.task_runs.get().result["compiled"]).text


@both
def test_secrets_of_the_environment_never_reach_a_log(engine, tmp_path, settings):
    settings.SECRET_ENVIRONMENT = {"DBT_ENV_SECRET_TOKEN": "hunter2-hunter2"}
    settings.DBT_ENVIRONMENT = {**settings.DBT_ENVIRONMENT, "DBT_TOKEN": "hunter2-hunter2"}
    models = {"a": "{% do log('token ' ~ env_var('DBT_TOKEN'), info=true) %} select '{{ env_var('DBT_TOKEN') }}' as t"}
    run = run_to_end(make_flow(write_project(tmp_path / "p", models)))
    row = run.task_runs.get()
    assert run.state == "succeeded"
    assert "token [MASKED]" in log_of(row)
    everything = [path.read_bytes() for path in store.root().rglob("*") if path.is_file()]
    assert not [data for data in everything if b"hunter2" in data]


@both
def test_a_secret_in_an_error_of_the_warehouse_is_masked_on_the_page_too(engine, tmp_path, settings):
    settings.SECRET_ENVIRONMENT = {"DBT_ENV_SECRET_TOKEN": "hunter2-hunter2"}
    settings.DBT_ENVIRONMENT = {**settings.DBT_ENVIRONMENT, "DBT_TOKEN": "hunter2-hunter2"}
    models = {"a": "{{ config(materialized='table') }} select cast('{{ env_var('DBT_TOKEN') }}' as integer) as t"}
    run = run_to_end(make_flow(write_project(tmp_path / "p", models)))
    row = run.task_runs.get()
    assert "[MASKED]" in row.reason
    attempt = Attempt.objects.get(task_run=row)
    assert "hunter2" not in f"{row.reason} {row.result} {attempt.reason} {attempt.result}"


@both
def test_a_failed_model_is_tried_again_when_its_flow_says_so(engine, tmp_path):
    run = run_to_end(make_flow(write_project(tmp_path / "p", {"a": "select nonsense"}), retries=1, retry_delay=0))
    assert run.state == "failed"
    assert run.task_runs.get().attempts == 2
    assert check() == []


def test_a_project_that_breaks_keeps_its_last_good_revision(engine, tmp_path):
    project = write_project(tmp_path / "p", {"a": "select 1 as id"})
    flow = make_flow(project)
    good = flow.environment.current_revision
    (project / "models" / "b.sql").write_text("select * from {{ ref('gone') }}")
    with pytest.raises(SyncError, match="gone"):
        sync(flow.environment)
    environment = Environment.objects.get(pk=flow.environment_id)
    assert environment.current_revision == good
    assert "gone" in environment.sync_error
    run = run_to_end(flow)
    assert run.state == "succeeded"
    assert "last good revision" in run.warnings[0]


def test_a_new_model_is_in_the_next_run_and_the_difference_is_recorded(engine, tmp_path):
    project = write_project(tmp_path / "p", {"a": "select 1 as id"})
    flow = make_flow(project)
    before = flow.environment.current_revision
    (project / "models" / "b.sql").write_text("select * from {{ ref('a') }}")
    run = run_to_end(flow)
    assert states(run) == {"a": "succeeded", "b": "succeeded"}
    change = Expansion.objects.filter(node__flow=flow).first()
    assert (change.came, change.went, change.since) == (["model.small.b"], [], before)
    assert list(flow.nodes.get().tasks.values_list("identifier", flat=True)) == ["a", "b"]


def test_a_node_may_run_only_what_failed_last_time_or_what_changed(engine, tmp_path):
    project = write_project(tmp_path / "p", {"a": "select 1 as id", "b": "select nonsense", "c": "select 3 as id"})
    flow = make_flow(project)
    assert run_to_end(flow).state == "failed"
    node = flow.nodes.get()
    node.include, node.allow_empty = ["result:error"], True
    save_node(node)
    assert states(run_to_end(flow)) == {"b": "failed"}
    (project / "models" / "c.sql").write_text("select 4 as id")
    sync(flow.environment)
    node = flow.nodes.get()
    node.include = ["state:modified"]
    save_node(node)
    assert states(run_to_end(flow)) == {"c": "succeeded"}


def test_each_of_two_broken_nodes_can_be_mended_by_itself(engine, tmp_path):
    flow = make_flow(write_project(tmp_path / "p", {"a": "select 1 as id", "b": "select 2 as id"}))
    broken = [Node.objects.create(flow=flow, name=name, include=["tga:x"], position=9) for name in ("x", "y")]
    broken[0].include = ["a"]
    save_node(broken[0])
    assert Node.objects.get(pk=broken[0].pk).include == ["a"]


def test_a_flow_without_tasks_is_refused_unless_that_is_allowed(engine, tmp_path):
    flow = make_flow(
        write_project(tmp_path / "p", {"a": "select 1 as id"}),
        {"none": {"include": ["a"], "exclude": ["a"], "allow_empty": True}},
    )
    run = run_to_end(flow)
    assert (run.state, run.task_runs.count()) == ("failed", 0)
    assert "Nothing to run" in run.error
    flow.allow_empty = True
    flow.save()
    assert run_to_end(flow).state == "succeeded"


def test_a_node_whose_selector_went_wrong_fails_the_run_by_name(engine, tmp_path):
    flow = make_flow(write_project(tmp_path / "p", {"a": "select 1 as id"}))
    Node.objects.create(flow=flow, name="odd", include=["tga:x"], position=9)
    run = run_to_end(flow)
    assert run.state == "failed"
    assert "odd" in run.error and "tag" in run.error


@both
def test_models_run_on_postgresql_too(engine, tmp_path, postgres_profile):
    models = {"a": "select 1 as id", "b": "select pg_sleep(0.1)::text as t, id from {{ ref('a') }}"}
    project = write_project(tmp_path / "p", models, profiles_yml=postgres_profile)
    flow = make_flow(project, threads=2)
    save_node(Node(flow=flow, name="again", include=["b"]))
    run = run_to_end(flow)
    assert run.state == "succeeded", (run.error, run.reason)
    assert check() == []


HOOKED = (
    PROJECT_YML
    + """
on-run-start: "create table if not exists main.starts as select 1 as n"
on-run-end: "create or replace table main.ended as select {{ results | length }} as n"
"""
)


@both
def test_hooks_run_once_at_both_ends_and_in_a_session_the_end_sees_the_results(engine, tmp_path, executor):
    models = {"a": "select n from main.starts", "b": "select nonsense from {{ ref('a') }}"}
    run = run_to_end(make_flow(write_project(tmp_path / "p", models, dbt_project=HOOKED)))
    assert states(run) == {"on-run-start": "succeeded", "a": "succeeded", "b": "failed", "on-run-end": "succeeded"}
    assert check() == []
    environment = run.flow.environment_id
    folder = Path(settings.DEX_HOME) / "warehouses" / f"environment-{environment}"
    database = next(folder.glob("*.duckdb"))
    until(lambda: not Lane.objects.exclude(owner="").exists(), 20)
    with duckdb.connect(str(database), read_only=True) as connection:
        assert connection.execute("select n from main.ended").fetchall() == [(2 if executor == "session" else 0,)]


@both
def test_nothing_starts_after_a_hook_that_failed_where_the_project_says_so(engine, tmp_path):
    yml = PROJECT_YML + 'on-run-start: "select nonsense"\nflags: {skip_nodes_if_on_run_start_fails: true}\n'
    run = run_to_end(make_flow(write_project(tmp_path / "p", {"a": "select 1 as id"}, dbt_project=yml)))
    assert states(run) == {"on-run-start": "failed", "a": "skipped"}
    assert run.state == "failed"


def test_a_query_that_a_killed_session_left_on_postgresql_is_ended_before_the_second_try(
    engine, tmp_path, postgres_profile
):
    models = {"slow": "{{ config(materialized='table') }} select pg_sleep(6)::text as t"}
    run = start(make_flow(write_project(tmp_path / "p", models, profiles_yml=postgres_profile)))
    slow = until(lambda: run.task_runs.filter(state="running").first(), 60)
    time.sleep(2)
    os.killpg(Attempt.objects.get(task_run=slow).pid, signal.SIGKILL)
    asked = "select count(*) from pg_stat_activity where query like '%pg_sleep(6)%' and application_name like 'dex-%'"
    port = int(re.search(r"port: (\d+)", postgres_profile).group(1))
    with psycopg.connect(host="127.0.0.1", port=port, user="dex", dbname="dex", autocommit=True) as connection:
        until(lambda: Attempt.objects.filter(task_run=slow).count() == 2, 30)
        time.sleep(2)
        assert connection.execute(asked).fetchone() == (1,)
    assert finished(run).state == "succeeded"


def test_some_of_the_rows_that_fail_a_test_are_kept_masked_for_who_may_look(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "SECRET_ENVIRONMENT", {"DBT_ENV_SECRET_X": "pr1vate-value"})
    models = {
        "a": "select * from (values (1, 'pr1vate-value'), (null, 'x'), (null, '<b>y</b>')) as t(id, said)",
        "b": "select * from {{ ref('a') }}",
    }
    project = write_project(tmp_path / "p", models, models__schema_yml=TESTED % "error")
    (project / "tests").mkdir()
    (project / "tests" / "nothing_said.sql").write_text("select id, said from {{ ref('a') }} where id = 1")
    monkeypatch.setattr(settings, "FAILING_ROWS", 2)
    run = run_to_end(make_flow(project))
    task = run.task_runs.get(identifier="a")
    assert task.state == "failed"
    shown = {test.name: test for test in detail_of(task, with_rows=True).tests}
    assert shown["not_null_a_id"].columns == ("id", "said") or "id" in shown["not_null_a_id"].columns
    assert len(shown["not_null_a_id"].rows) == 2
    assert shown["nothing_said"].rows == (("1", "[MASKED]"),)
    assert all(test.rows == () for test in detail_of(task).tests)
    assert "pr1vate" not in (store.path_of(task.result["failing_rows"])).read_text()
    viewer, operator = Person("vi", "runs.view_run"), Person("op", "runs.view_run", "runs.view_failing_rows")
    assert "rows that fail" not in viewer.open(f"/runs/{run.pk}/?task={task.pk}").html
    page = operator.open(f"/runs/{run.pk}/?task={task.pk}").html
    assert "The 2 failing rows" in page and "<b>y</b>" not in page


def test_rows_that_cannot_be_fetched_are_told_and_the_test_counts(engine, tmp_path, monkeypatch):
    project = write_project(tmp_path / "p", {"a": "select 1 as id"})
    (project / "tests").mkdir()
    # The test only counts, and does not compute the column; who fetches its rows does.
    (project / "tests" / "odd.sql").write_text(
        "{{ config(fail_calc='count(*)') }} select error('no rows for you') as id from {{ ref('a') }}"
    )
    run = run_to_end(make_flow(project))
    task = run.task_runs.get(identifier="a")
    (test,) = detail_of(task, with_rows=True).tests
    assert test.status == "fail" and "no rows for you" in test.problem and test.rows == ()
    page = Person("op", "runs.view_run", "runs.view_failing_rows").open(f"/runs/{run.pk}/?task={task.pk}").html
    assert "The failing rows could not be fetched" in page


def test_bytes_are_shown_and_a_view_has_no_count_of_rows(engine, tmp_path, postgres_profile):
    models = {"a": r"{{ config(materialized='view') }} select '\xdeadbeef'::bytea as raw, 1.50::numeric(9,2) as price"}
    project = write_project(tmp_path / "p", models, profiles_yml=postgres_profile)
    (project / "tests").mkdir()
    (project / "tests" / "odd.sql").write_text("select raw, price from {{ ref('a') }}")
    task = run_to_end(make_flow(project)).task_runs.get(identifier="a")
    (test,) = detail_of(task, with_rows=True).tests
    assert test.columns == ("raw", "price") and test.rows == (("\\xdeadbeef", "1.50"),)
    assert task.result["rows_affected"] is None and detail_of(task).rows is None


def test_a_rerun_with_other_parameters_runs_the_same_code_with_them(engine, tmp_path):
    project = write_project(
        tmp_path / "p",
        {"a": 'select \'{{ var("day", "none") }}\' as day', "b": "select * from {{ ref('a') }} where nonsense"},
    )
    flow = make_flow(project, parameters=[{"name": "day", "type": "text"}])
    first = run_to_end(flow, parameters={"day": "monday"})
    assert states(first) == {"a": "succeeded", "b": "failed"}
    (project / "models" / "b.sql").write_text("select * from {{ ref('a') }}")  # the newest code; the rerun has the old
    again = finished(rerun(first, actor="ada", mode="all", parameters={"day": "tuesday"}))
    assert states(again) == {"a": "succeeded", "b": "failed"}
    assert "tuesday" in store.read(again.task_runs.get(identifier="a").result["compiled"]).text
    assert again.revision != first.revision and again.revision.commit == first.revision.commit
    newest = finished(rerun(again, actor="ada", revision="newest"))
    assert states(newest) == {"a": "reused", "b": "succeeded"} and check() == []
    assert newest.parameters == {"day": "tuesday"}


def test_on_the_newest_code_changed_models_and_all_below_them_run_again(engine, tmp_path):
    models = {
        "a": "select 1 as id",
        "b": "select * from {{ ref('a') }}",
        "c": "select * from {{ ref('b') }}",
        "other": "select 2 as id",
    }
    project = write_project(tmp_path / "p", models)
    first = run_to_end(make_flow(project))
    (project / "models" / "b.sql").write_text("select id + 1 as id from {{ ref('a') }}")
    again = finished(rerun(first, actor="ada", revision="newest"))
    assert states(again) == {"a": "reused", "b": "succeeded", "c": "succeeded", "other": "reused"}
    assert again.task_runs.get(identifier="a").reason == f"succeeded in run {first.pk}"
    third = finished(rerun(again, actor="ada", mode="here", keys=["model.small.a"]))
    assert states(third) == {"a": "succeeded", "b": "succeeded", "c": "succeeded", "other": "reused"}
    assert third.task_runs.get(identifier="other").reason == f"succeeded in run {first.pk}"
