"""Real processes, real servers, real signals: every run ends, no history is broken."""

import json
import os
import pickle
import random
import signal
import time
from pathlib import Path

import pytest
from kombu import Connection

from tests.helpers.waiting import patience


def all_succeeded(dex, seconds=90):
    """Wait for every run; all succeed and the history is consistent."""
    answer = json.loads(dex.workload("wait", str(seconds)))
    assert answer["left"] == [], dex.tail()
    assert set(answer["states"]) == {"succeeded"}, answer
    checked = dex.manage("check_history", check=False)
    assert checked.returncode == 0, checked.stdout
    return answer


def test_workers_that_are_killed_or_frozen_and_a_lost_broker_and_database_lose_no_run(distributed):
    dex, dice = distributed, random.Random(7)
    workers = [dex.worker() for _ in range(3)]
    dex.workload("open", "40", "1.0")
    faults = ["kill", "kill", "freeze", "flush", "database", "kill", "broker", "kill"]
    for fault in faults:
        time.sleep(dice.uniform(1.0, 2.0))
        victim = dice.randrange(len(workers))
        match fault:
            case "kill":
                workers[victim].kill()
                workers[victim] = dex.worker()
            case "freeze":
                workers[victim].send_signal(signal.SIGSTOP)
                time.sleep(5.5)  # longer than the lease
                workers[victim].send_signal(signal.SIGCONT)
            case "flush":
                dex.redis.flush()
            case "broker":
                dex.redis.stop()
                time.sleep(1)
                dex.redis.start()
            case "database":
                dex.postgres.stop("immediate")
                time.sleep(0.5)
                dex.postgres.start()
    answer = all_succeeded(dex)
    assert answer["lost"] > 0  # or the faults hit nothing and the test is blind


def test_a_flushed_broker_only_delays_what_was_queued(distributed):
    dex = distributed
    dex.workload("open", "30", "0.05")
    dex.redis.flush()
    dex.worker()
    all_succeeded(dex, 60)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGQUIT])
def test_a_worker_that_is_asked_to_stop_hands_over_what_it_has_not_finished(distributed, stop):
    dex = distributed
    first = dex.worker()
    dex.workload("open", "10", "0.5")
    time.sleep(3)
    first.send_signal(stop)
    first.wait(timeout=patience(30))
    dex.worker()
    all_succeeded(dex)


def test_an_embedded_engine_that_is_killed_continues_where_it_stopped(embedded):
    dex = embedded
    dex.workload("open", "30", "0.3")
    for _ in range(3):
        engine = dex.spawn("-m", "tests.chaos.engine")
        time.sleep(4)
        engine.kill()
        engine.wait()
    dex.spawn("-m", "tests.chaos.engine")
    all_succeeded(dex)


HOSTILE = {
    "application/x-python-serialize": lambda path: pickle.dumps(Opens(path)),
    "application/x-yaml": lambda path: f"!!python/object/apply:os.mkdir ['{path}']",
    "application/json": lambda path: json.dumps([[f"{path}"], {}, {"chain": None}]),
}


class Opens:
    """Unpickled, it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_message_that_is_no_json_of_dex_is_refused_and_the_worker_goes_on(distributed, tmp_path):
    """S11: whoever reaches the broker cannot make a worker run code by what it unpacks."""
    dex = distributed
    worker = dex.worker()
    made = tmp_path / "made by a message"
    with Connection(dex.redis.url) as broker:
        queue = broker.SimpleQueue("dex")
        for kind, body in HOSTILE.items():
            for task in ("dex.execute_task_run", "os.mkdir"):
                headers = {"task": task, "id": task, "lang": "py", "argsrepr": "", "kwargsrepr": ""}
                encoding = "binary" if "python" in kind else "utf-8"
                queue.put(body(made), headers=headers, content_type=kind, content_encoding=encoding)
        queue.close()
    dex.workload("open", "5", "0.05")
    all_succeeded(dex)
    assert not made.exists() and worker.poll() is None
    told = Path(dex.log.name).read_text(errors="replace")
    for kind in ("pickle", "yaml"):
        assert f"Refusing to deserialize untrusted content of type {kind}" in told
