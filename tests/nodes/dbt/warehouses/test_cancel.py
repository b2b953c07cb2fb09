"""A cancelled task ends its own query in BigQuery too, whose adapter cannot cancel a single connection."""

import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from nodes.dbt.internals import Project, Ticket

pytestmark = pytest.mark.process


def test_the_newest_job_of_a_cancelled_bigquery_thread_is_cancelled_and_no_other():
    cancelled: list[tuple[str, str]] = []

    def connection(name):
        client = SimpleNamespace(cancel_job=lambda job, location: cancelled.append((job, location)))
        return SimpleNamespace(state="open", handle=client, name=name, credentials=SimpleNamespace(location="EU"))

    mine, other = (os.getpid(), 1), (os.getpid(), 2)
    manager = SimpleNamespace(
        lock=threading.RLock(),
        thread_connections={mine: connection("mine"), other: connection("other")},
        jobs_by_thread={mine: ["done", "running"], other: ["another"]},
    )
    project: Any = object.__new__(Project)
    project.adapter = SimpleNamespace(connections=manager, type=lambda: "bigquery")
    ticket = Ticket()
    ticket.threads.add(1)
    assert project.interrupt(ticket) == 1
    assert cancelled == [("running", "EU")]
