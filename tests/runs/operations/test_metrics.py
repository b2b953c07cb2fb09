"""What machines watch: is it alive, is it ready, what does it do, and logs that a collector understands."""

import json
import logging
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings as configured
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from flows.access import acting_as
from flows.infra.log_context import Context, about
from flows.logins.tokens import issue
from flows.models import Flow
from runs.models import Transition, Trigger
from runs.operations.heartbeats import worker_lives
from runs.operations.metrics import count_moves
from runs.services import start_run
from tests.helpers.graphs import drain, open_graph
from tests.helpers.pages import Person, sample_flow

pytestmark = pytest.mark.django_db


def scraped(client=None):
    answer = (client or Client()).get("/metrics")
    assert answer.status_code == 200, answer.content
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


@pytest.fixture
def is_open(settings):
    settings.METRICS_OPEN = True


def test_metrics_ask_for_a_token_of_somebody_who_may_see_runs():
    client = Client()
    assert client.get("/metrics").status_code == 401
    assert Person("session", "everything").client.get("/metrics").status_code == 401
    robot = get_user_model().objects.create_superuser("robot")
    with acting_as(robot):
        _, secret = issue("prometheus", None)
    assert scraped(Client(headers={"Authorization": f"Bearer {secret}"}))["dex_workers",] == 0


def test_counters_are_the_sum_of_all_that_happened_and_do_not_fall_when_history_is_pruned(is_open):
    drain(open_graph({"a": [], "b": ["a"]}))
    drain(open_graph({"a": []}, {"a": {"end": "fail"}}))
    assert count_moves(settled_s=0) > 0 and count_moves(settled_s=0) == 0
    found = scraped()
    assert found["dex_runs_total", "succeeded"] == 1 and found["dex_runs_total", "failed"] == 1
    assert found["dex_task_runs_total", "succeeded"] == 2 and found["dex_task_runs_total", "failed"] == 1
    Transition.objects.all().delete()
    drain(open_graph({"a": []}))
    count_moves(settled_s=0)
    assert scraped()["dex_runs_total", "succeeded"] == 2


def test_gauges_say_what_waits_and_how_late_schedules_are(is_open):
    flow = sample_flow("Hourly", cron="0 * * * *", decided_until=timezone.now() - timedelta(hours=3))
    start_run(flow, trigger=Trigger.MANUAL, actor="ann")
    run = open_graph({"a": [], "b": ["a"]})
    run.task_runs.filter(unique_id="a").update(queued_at=timezone.now() - timedelta(seconds=90))
    worker_lives("w1", "host")
    found = scraped()
    assert found["dex_active_runs", "queued"] == 1 and found["dex_active_runs", "running"] == 1
    assert found["dex_active_task_runs", "pending"] >= 1
    assert found["dex_workers",] == 1
    assert found["dex_schedules_overdue",] == 1 and found["dex_scheduler_lag_seconds",] > 3600
    assert found["dex_scheduler_heartbeat_age_seconds",] == float("inf")


def test_a_scrape_costs_the_same_for_many_flows(is_open, django_assert_max_num_queries):
    first = sample_flow("flow 0", cron="0 * * * *", decided_until=timezone.now())
    Flow.objects.bulk_create(
        Flow(name=f"flow {n}", environment=first.environment, cron="0 * * * *", decided_until=timezone.now())
        for n in range(1, 40)
    )
    with django_assert_max_num_queries(8):
        scraped()


def test_ready_says_whether_the_tables_are_those_of_this_version(monkeypatch):
    assert Client().get("/readyz").json() == {"status": "ready"}
    monkeypatch.setattr("dexsite.pages.health.MigrationExecutor.migration_plan", lambda *_: ["something"])
    answer = Client().get("/readyz")
    assert answer.status_code == 503 and "not migrated" in answer.json()["status"]


def test_a_line_of_the_log_says_which_run_and_task_it_is_about():
    record = logging.LogRecord("dex.x", logging.WARNING, "", 0, "lost", (), None)
    with about(run=12), about(task=340):
        Context().filter(record)
    assert (record.where, record.run, record.task) == (" [run 12] [task 340]", 12, 340)
    outside = logging.LogRecord("dex.x", logging.WARNING, "", 0, "fine", (), None)
    Context().filter(outside)
    assert outside.where == "" and not hasattr(outside, "run")


def test_with_the_setting_every_line_is_one_json_object():
    code = (
        "import django, logging; django.setup(); from flows.infra.log_context import about\n"
        "with about(run=7):\n"
        "    try:\n        1 / 0\n"
        "    except ZeroDivisionError:\n        logging.getLogger('dex.x').exception('it %s', 'broke')\n"
    )
    env = {**configured.OWN_ENVIRONMENT, "DEX_LOG_FORMAT": "json", "DJANGO_SETTINGS_MODULE": "dexsite.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, cwd=configured.BASE_DIR
    )
    (line,) = done.stderr.splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"], said["message"], said["run"]) == ("ERROR", "dex.x", "it broke", 7)
    assert "ZeroDivisionError" in said["exc_info"] and said["time"]
