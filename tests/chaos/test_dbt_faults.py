"""A worker or engine dies while its dbt session builds models: another goes on, and never two at once."""

import json
import os
import signal
import time
from contextlib import suppress

import pytest

from tests.helpers.waiting import patience

pytestmark = pytest.mark.parametrize("executor", ["session", "command"])
FLOW = """
from flows.models import Environment
Environment._meta.get_field('executor').default = 'EXECUTOR'
from runs.management.demo import shop_flow
from runs.models import Trigger
from runs.services import start_run
start_run(shop_flow(script=False), trigger=Trigger.COMMAND, actor='test')
"""
# It looks often, and acts at once, from one process: the model takes two seconds, and to start a process takes longer.
RUNNING = """
import os, time
from runs.models import Attempt
until = time.monotonic() + 120
while time.monotonic() < until:
    found = Attempt.objects.filter(ended_at=None, task_run__identifier='marts.mart_revenue').first()
    if found is not None and found.pid:
        VICTIM and os.kill(VICTIM, SIGNAL)
        print(found.pid)
        break
    time.sleep(0.02)
"""


def shell(dex, code):
    return dex.manage("shell", "-v0", "-c", code).stdout


def wait_for_the_slow_model(dex, victim=None, number=signal.SIGKILL):
    """The pid of the session that builds it; a signal for a process as soon as it does."""
    code = RUNNING.replace("VICTIM", str(victim.pid if victim else 0)).replace("SIGNAL", str(int(number)))
    said = shell(dex, code).split()
    assert said, f"it never ran\n{dex.tail()}"
    return int(said[0])


def ends_well(dex):
    answer = json.loads(dex.workload("wait", "90"))
    assert answer["states"] == {"succeeded": 1}, (answer, dex.tail())
    checked = dex.manage("check_history", check=False)
    assert checked.returncode == 0, checked.stdout
    return answer


def test_a_worker_killed_while_a_model_builds_is_replaced_by_another(distributed, executor):
    dex = distributed
    shell(dex, FLOW.replace("EXECUTOR", executor))
    first = dex.worker()
    session = wait_for_the_slow_model(dex, victim=first)
    second = dex.worker()
    first.wait()
    answer = ends_well(dex)
    assert answer["lost"] >= 1
    with suppress(ProcessLookupError):
        os.kill(session, 0)
        raise AssertionError("the session outlived its worker")
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=patience(30)) == 0


def test_a_worker_frozen_while_a_model_builds_loses_it_to_another(distributed, executor):
    dex = distributed
    shell(dex, FLOW.replace("EXECUTOR", executor))
    first = dex.worker()
    wait_for_the_slow_model(dex, victim=first, number=signal.SIGSTOP)
    dex.worker()
    ends_well(dex)
    first.send_signal(signal.SIGCONT)
    time.sleep(2)
    ends_well(dex)  # what it says now changes nothing


def test_an_embedded_engine_killed_while_a_model_builds_finishes_after_its_restart(embedded, executor):
    dex = embedded
    shell(dex, FLOW.replace("EXECUTOR", executor))
    engine = dex.spawn("-m", "tests.chaos.engine")
    wait_for_the_slow_model(dex, victim=engine)
    engine.wait()
    dex.spawn("-m", "tests.chaos.engine")
    assert ends_well(dex)["lost"] >= 1


def test_a_database_that_restarts_while_a_model_builds_loses_no_result(distributed, executor):
    dex = distributed
    shell(dex, FLOW.replace("EXECUTOR", executor))
    dex.worker()
    wait_for_the_slow_model(dex)
    dex.postgres.stop("immediate")
    time.sleep(0.5)
    dex.postgres.start()
    ends_well(dex)
