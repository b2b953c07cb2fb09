import re
from pathlib import Path

import pytest

from runs.states import ACTIVE, DONE, MOVES, OVER, RUN_MOVES, RunState, TaskState, outcome

S = TaskState


@pytest.mark.parametrize(
    ("states", "cancelled", "end"),
    [
        ([], False, RunState.SUCCEEDED),
        ([S.SUCCEEDED], False, RunState.SUCCEEDED),
        ([S.SUCCEEDED, S.REUSED], False, RunState.SUCCEEDED),
        ([S.SUCCEEDED, S.SKIPPED], False, RunState.FAILED),
        ([S.SUCCEEDED, S.FAILED], False, RunState.FAILED),
        ([S.SUCCEEDED, S.CANCELLED], True, RunState.CANCELLED),
        ([S.SUCCEEDED, S.CANCELLED], False, RunState.FAILED),
        ([S.FAILED, S.CANCELLED], True, RunState.CANCELLED),
        ([S.SUCCEEDED], True, RunState.SUCCEEDED),
        ([S.SUCCEEDED, S.PENDING], False, None),
        ([S.RUNNING], True, None),
    ],
)
def test_a_run_ends_as_its_tasks_did(states, cancelled, end):
    assert outcome(states, cancel_requested=cancelled) == end


def test_finished_runs_and_tasks_never_change_their_state():
    assert not [move for move in MOVES if move[0] in OVER]
    assert ACTIVE | OVER == set(TaskState)
    assert DONE <= OVER


def test_every_active_state_has_a_way_to_an_end():
    reach = set(OVER)
    for _ in TaskState:
        reach |= {old for old, new in MOVES if new in reach}
    assert reach == set(TaskState)


def test_the_documented_arrows_are_the_real_ones():
    text = Path("docs/states.md").read_text()
    arrows = set(re.findall(r"`(\w+) -> (\w+)`", text))
    assert arrows == {(str(a), str(b)) for a, b in MOVES | RUN_MOVES}
