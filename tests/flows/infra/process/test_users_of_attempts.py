"""Several workers, or several installations, give scripts of one machine users of their own; real processes."""

import subprocess
import sys

import pytest

from flows.infra.process import users
from flows.infra.process.table import start_time
from tests.helpers.levels import needs_root
from tests.helpers.paths import ROOT
from tests.helpers.waiting import comes, patience

UIDS = range(65480, 65490)
WORKER = f"""
from flows.infra.process import users
print(users.take_uid(range({UIDS.start}, {UIDS.stop})), flush=True)
input()
"""
pytestmark = [pytest.mark.process, needs_root()]


@pytest.fixture
def somebody():
    """Starts programs of a user, and ends them all."""
    started = []

    def start(uid):
        child = subprocess.Popen(["setpriv", f"--reuid={uid}", "--clear-groups", "sleep", "600"])
        started.append(child)
        assert comes(lambda: uid in {owner for _, owner in users._owners()}, 10)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()


@pytest.fixture
def taken():
    uid = users.take_uid(UIDS)
    yield uid
    users.give_uid_back(uid)


def test_two_workers_of_one_machine_never_have_the_same_user_and_one_that_died_has_none(taken):
    command = [sys.executable, "-c", WORKER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        other = int(worker.stdout.readline())
        assert other in UIDS and other != taken
        third = users.take_uid(UIDS)
        assert third not in (taken, other)
        users.give_uid_back(third)
        worker.kill()
        worker.wait()
    again = users.take_uid([other])
    users.give_uid_back(again)


def test_processes_of_a_lost_child_are_ended_but_not_a_later_child_with_its_user(somebody, taken):
    child = somebody(taken)
    users.name_child(taken, child.pid, start_time(child.pid))
    users.kill_leftover_of(taken, child.pid, start_time(child.pid) - 1)  # another, longer ago
    assert child.poll() is None
    users.kill_leftover_of(taken, child.pid, start_time(child.pid))  # its worker is frozen
    assert child.wait(patience(10)) == -9


def test_a_user_with_a_process_of_a_dead_worker_is_free_when_that_was_ended(somebody):
    uid = UIDS[-1]
    child = somebody(uid)
    with pytest.raises(RuntimeError, match="taken"):
        users.take_uid([uid])
    users.kill_leftover_of(uid, None, None)
    assert child.wait(patience(10)) == -9
    users.give_uid_back(users.take_uid([uid]))


def test_a_folder_of_locks_that_other_users_can_open_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(users.os, "access", lambda *_: False)
    monkeypatch.setattr(users.tempfile, "gettempdir", lambda: str(tmp_path))
    users.give_uid_back(users.take_uid(UIDS))
    (tmp_path / "dex-users").chmod(0o755)
    with pytest.raises(RuntimeError, match="which nobody else may open"):
        users.take_uid(UIDS)
