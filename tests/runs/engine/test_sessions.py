"""What a driver hears of a dbt session that answers, complains, is silent or dies."""

import pytest

from nodes.dbt.client import SessionClosed
from runs.engine import sessions
from runs.engine.sessions import Session


class Client:
    """A session process that says these things."""

    def __init__(self, **options):
        self.told = []
        self.alive = True

    def next_event(self, timeout):
        return self.told.pop(0) if self.told else None

    def begin(self, *arguments, **options):
        if not self.alive:
            raise SessionClosed("the session is closed")

    def end(self):
        self.begin()

    def cancel(self, task):
        self.begin()

    def kill(self, grace=0):
        self.alive = False


@pytest.fixture
def session(monkeypatch, settings, tmp_path):
    settings.DEX_HOME, settings.SESSION_OPEN_TIMEOUT_S = tmp_path, 0.05
    monkeypatch.setattr(sessions, "DbtClient", Client)
    monkeypatch.setattr(sessions, "dbt_environment", lambda environment: {})

    class Revision:
        environment, warehouse = None, {"type": "duckdb"}

    return Session("key", Revision())


def begun(session, *events):
    session.client.told = list(events)
    return session.begin(["model.shop.a"], "dex", leftovers=False, invocation={})


DIED = {"event": "died", "signal": 9}
RESULT = {"event": "result", "task": "a"}


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([{"event": "begun"}], ""),
        ([{"event": "begun", "ok": False, "message": "no schema"}], "no schema"),
        ([{"event": "fatal", "message": "broken profile"}], "broken profile"),
        ([DIED], "killed by signal 9"),
        ([{"event": "died", "exit_code": 3}], "exit code 3"),
        ([], "dbt did not respond for 0.05 s"),
    ],
)
def test_a_run_begins_or_the_session_says_why_not(session, events, problem):
    assert begun(session, *events) == problem
    assert session.alive == (problem[:4] not in ("kill", "exit"))


def test_what_a_session_prints_while_it_begins_goes_to_the_log_and_results_wait(session):
    lines = []
    session.sink = lines.append
    assert begun(session, {"event": "log", "text": "Found 3 models"}, RESULT, {"event": "begun"}) == ""
    assert lines == [b"Found 3 models\n"]
    assert list(session.events(0)) == [RESULT]


def test_a_session_that_dies_says_so_after_its_last_results(session):
    session.client.told = [RESULT, DIED]
    assert list(session.events(0)) == [RESULT, DIED] and session.died == "killed by signal 9"


def test_a_closed_session_begins_and_ends_nothing(session):
    session.kill()
    assert begun(session) == session.end() == "the session is closed"
    session.cancel("a")  # it cannot run any more


def test_a_warm_session_is_given_out_once_and_never_when_it_has_died(session):
    sessions.keep(session)
    assert sessions.take("another key") is None
    assert sessions.take("key") is session and sessions.take("key") is None
    sessions.keep(session)
    session.kill()
    assert sessions.take("key") is None
