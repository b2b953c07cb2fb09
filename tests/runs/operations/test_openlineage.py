"""A data catalogue hears of every run and model, in order, and nothing is lost while it is away."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runs.models import Heartbeat
from runs.operations import openlineage
from runs.operations.openlineage import run_uuid, send_lineage
from tests.helpers.engines import make_flow, run_to_end, write_project
from tests.helpers.graphs import drain, open_graph


class Receiver(ThreadingHTTPServer):
    """Takes events, or answers 503 while `away`."""

    def __init__(self):
        self.events, self.away, self.keys = [], False, set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.keys.add(self.headers.get("Authorization"))
                if not receiver.away:
                    receiver.events.append(json.loads(body))
                self.send_response(503 if receiver.away else 201)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def told(self):
        return [(event["job"]["name"], event["eventType"]) for event in self.events]


@pytest.fixture
def receiver(settings):
    server = Receiver()
    settings.OPENLINEAGE_URL = f"http://127.0.0.1:{server.server_port}"
    settings.OPENLINEAGE_API_KEY = "key-1"
    yield server
    server.shutdown()
    server.server_close()


def rest_is_over():
    Heartbeat.objects.filter(pk="lineage").update(at="2020-01-01T00:00:00Z")


@pytest.mark.django_db
def test_nothing_is_sent_without_an_address(settings):
    settings.OPENLINEAGE_URL = ""
    drain(open_graph())
    assert send_lineage(settled_s=0) == 0 and not Heartbeat.objects.filter(pk="lineage").exists()


@pytest.mark.django_db
def test_events_from_before_it_was_switched_on_are_not_sent_and_later_ones_once(receiver):
    drain(open_graph())
    assert send_lineage(settled_s=0) == 0
    drain(open_graph({"a": ()}))
    drain(open_graph({"a": ()}, {"a": {"end": "fail"}}))
    rest_is_over()
    assert send_lineage(settled_s=0) == 4
    rest_is_over()
    assert send_lineage(settled_s=0) == 0
    assert [kind for _, kind in receiver.told] == ["START", "COMPLETE", "START", "FAIL"]
    assert receiver.keys == {"Bearer key-1"}


@pytest.mark.django_db
def test_a_receiver_that_was_away_gets_everything_later_in_order(receiver):
    send_lineage(settled_s=0)
    receiver.away = True
    drain(open_graph({"a": ()}))
    rest_is_over()
    assert send_lineage(settled_s=0) == 0
    assert send_lineage(settled_s=0) == 0  # it rests before it tries again
    assert Heartbeat.objects.get(pk="lineage").detail["tries"] == 1
    drain(open_graph({"a": ()}))
    receiver.away = False
    rest_is_over()
    assert send_lineage(settled_s=0) == 4
    assert [kind for _, kind in receiver.told] == ["START", "COMPLETE"] * 2


def test_a_model_is_reported_with_its_inputs_outputs_sql_and_run(engine, receiver, tmp_path):
    flow = make_flow(
        write_project(
            tmp_path / "p",
            {
                "a": "select 1 as id",
                "between": "{{ config(materialized='ephemeral') }} select * from {{ ref('a') }}",
                "b": "select * from {{ ref('between') }}",
            },
        )
    )
    send_lineage(settled_s=0)
    run = run_to_end(flow)
    rest_is_over()
    while send_lineage(settled_s=0):
        rest_is_over()
    made = {(event["job"]["name"], event["eventType"]): event for event in receiver.events}
    b = made[f"{flow.name}.b", "COMPLETE"]
    assert [dataset["name"].split(".")[-1] for dataset in b["inputs"]] == ["a"]
    assert [dataset["name"].split(".")[-1] for dataset in b["outputs"]] == ["b"]
    assert b["outputs"][0]["namespace"].startswith("duckdb://")
    assert "select" in b["job"]["facets"]["sql"]["query"]
    assert b["run"]["facets"]["parent"]["run"]["runId"] == run_uuid("run", run.pk)
    whole = made[flow.name, "COMPLETE"]
    assert whole["run"]["runId"] == run_uuid("run", run.pk)


@pytest.mark.django_db
def test_a_receiver_that_answers_a_letter_at_a_time_does_not_hold_up_the_process(receiver, settings, monkeypatch):
    send_lineage(settled_s=0)
    drain(open_graph({"a": ()}))
    rest_is_over()
    slow = socket.create_server(("127.0.0.1", 0))

    def serve():
        taken, _ = slow.accept()
        with taken:
            try:
                for _ in range(200):
                    taken.sendall(b"H")
                    time.sleep(0.1)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    settings.OPENLINEAGE_URL = f"http://127.0.0.1:{slow.getsockname()[1]}"
    monkeypatch.setattr(openlineage, "EXCHANGE_S", 1.0)
    began = time.monotonic()
    assert send_lineage(settled_s=0) == 0
    assert time.monotonic() - began < 5
    assert Heartbeat.objects.get(pk="lineage").detail["tries"] == 1
    slow.close()
