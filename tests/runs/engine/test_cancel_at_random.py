"""Runs are cancelled at any instant: each ends, nothing goes on. DEX_TEST_SCALE=10 makes it 500 cancels."""

import os
import random
import threading
import time

from django.db import connection

from runs.models import Attempt, Run, TaskRun
from runs.operations.invariants import check
from runs.services import cancel_run
from runs.states import ACTIVE, RUN_OVER
from tests.helpers.graphs import open_graph
from tests.helpers.waiting import until

CANCELS = 50 * int(os.environ.get("DEX_TEST_SCALE", "1"))


def test_a_run_cancelled_at_any_instant_ends_and_none_of_its_tasks_runs_on(engine):
    dice = random.Random(5)
    runs = []
    cancelled = []

    def cancel(run, pause):
        time.sleep(pause)
        cancelled.append(cancel_run(run.pk, actor="ann"))
        connection.close()

    threads = []
    for _ in range(CANCELS):
        specs = {name: {"seconds": 0.3} for name in ("a", "b", "c")}
        run = open_graph({"a": (), "b": ("a",), "c": ("a",)}, specs)
        runs.append(run)
        threads.append(threading.Thread(target=cancel, args=(run, dice.uniform(0, 1.2))))
        threads[-1].start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    ids = [run.pk for run in runs]
    until(lambda: not Run.objects.filter(pk__in=ids).exclude(state__in=RUN_OVER).exists(), 20 + CANCELS / 10, "ends")
    assert not TaskRun.objects.filter(run__in=ids, state__in=ACTIVE).exists()
    until(lambda: not Attempt.objects.filter(task_run__run__in=ids, ended_at=None).exists(), 10, "attempts")
    states = set(Run.objects.filter(pk__in=ids).values_list("state", flat=True))
    assert states <= {"cancelled", "succeeded"} and "cancelled" in states and sum(cancelled) > CANCELS / 2
    assert [str(violation) for pk in ids for violation in check(pk)] == []
