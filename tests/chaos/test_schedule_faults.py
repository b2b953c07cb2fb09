"""Beat and workers die around a due time: every flow starts once, and what comes after it too."""

import json
import time
from collections import Counter

from tests.helpers.waiting import patience

AHEAD = 12  # seconds that the processes live before the due time, which comes once: the next is a day later
SETTING_UP = 15


def sleep_until(moment):
    time.sleep(max(moment - time.time(), 0))


def test_beats_and_workers_killed_before_a_due_time_and_back_after_it_start_every_flow_once(distributed):
    dex, number = distributed, 5
    due = (time.time() + SETTING_UP + AHEAD) // 60 * 60 + 60
    dex.workload("schedule", str(number), str(due))
    sleep_until(due - AHEAD)
    first = [dex.beat(), dex.worker()]
    sleep_until(due - 2)
    for process in first:
        process.kill()
    sleep_until(due + 2)
    again = [dex.beat(), dex.beat(), dex.worker(), dex.worker()]  # doubled, as after a hasty restart
    deadline = time.monotonic() + patience(40)
    while time.monotonic() < deadline:
        rows = json.loads(dex.workload("ticks"))
        late = {name for name, at, _, _ in rows if name.startswith("Daily") and at == due}
        followed = {name for name, at, _, _ in rows if name.startswith("After") and at > due}
        if len(late) == len(followed) == number:
            break
        time.sleep(1)
    again[0].kill()
    again[2].kill()
    wait = json.loads(dex.workload("wait", "60"))
    rows = json.loads(dex.workload("ticks"))
    assert {(outcome, runs) for _, _, outcome, runs in rows} == {("run", 1)}, (rows, dex.tail())
    found = Counter((name, at) for name, at, _, _ in rows if name.startswith("Daily"))
    assert found == {(f"Daily {n}", due): 1 for n in range(number)}
    succeeded = Counter(name.split()[1] for name, *_ in rows if name.startswith("Daily"))
    followers = Counter(name.split()[1] for name, *_ in rows if name.startswith("After"))
    assert all(1 <= followers[key] <= succeeded[key] for key in succeeded)  # of two at once, one start is enough
    assert wait["left"] == [], dex.tail()
    checked = dex.manage("check_history", check=False)
    assert checked.returncode == 0, checked.stdout
