"""The engine's own tests once more, with PostgreSQL below: SQLite has one writer and hides what two would do."""

import subprocess
import sys
import threading

from tests.helpers.paths import ROOT
from tests.helpers.waiting import patience

SUITES = ["test_release", "test_retry_and_loss", "test_cancel", "test_state_machine", "test_claims"]


def test_the_engine_keeps_its_invariants_on_postgresql_too(distributed, tmp_path):
    files = [f"tests/runs/engine/{name}.py" for name in SUITES]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}"),
            *("--reuse-db", "-k", "not checker_finds", *files),
        ],
        env=distributed.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=patience(300),
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


CLAIM = """
import sys, threading
from runs.engine.claims import claim
from runs.models import TaskRun
ids = list(TaskRun.objects.filter(state='queued').order_by('pk').values_list('pk', flat=True))
won = []
def work(n):
    for pk in ids:
        if claim(pk, f'{sys.argv[0]}-{n}'):
            won.append(pk)
threads = [threading.Thread(target=work, args=[n]) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(won))
"""


def test_of_many_workers_that_get_a_task_at_once_one_starts_it(distributed):
    """Two processes of four threads each claim the same task runs in the same order."""
    distributed.workload("open", "40", "0")
    answers: list[int] = []

    def ask():
        answers.append(int(distributed.manage("shell", "-v0", "-c", CLAIM).stdout))

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert sum(answers) == 40
