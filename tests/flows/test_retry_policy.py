"""Trying again helps against what passes by itself, and hides what does not."""

import pytest
from django.core.exceptions import ValidationError

from flows.models import Flow
from flows.retry_policy import is_transient, is_worth_a_try, matches, problem_of
from nodes.document import document_of, from_yaml, to_yaml
from nodes.models import Node
from nodes.services import import_flow, restore_flow, save_flow, save_node
from tests.helpers.pages import sample_flow


@pytest.mark.parametrize(
    "message",
    [
        'could not connect to server: Connection refused\n\tIs the server running on host "10.1.2.3"?',
        "server closed the connection unexpectedly\nThis probably means the server terminated abnormally",
        "FATAL:  the database system is starting up",
        "deadlock detected\nDETAIL:  Process 123 waits for ShareLock on transaction 456",
        "could not serialize access due to concurrent update",
        "canceling statement due to lock timeout",
        'IO Error: Could not set lock on file "/data/shop.duckdb": Conflicting lock is held in python (PID 12)',
        "TransactionContext Error: Failed to commit: Transaction conflict",
        "HTTP 503: Service Unavailable",
        "429 Client Error: Too Many Requests for url",
        "ConnectionError: ('Connection aborted.', RemoteDisconnected('Remote end closed connection'))",
        "[Errno -3] Temporary failure in name resolution",
        "FATAL: sorry, too many connections already",
    ],
)
def test_temporary_failures_are_recognized(message):
    assert is_transient(message)


@pytest.mark.parametrize(
    "message",
    [
        'Database Error in model x\n  syntax error at or near "frm"',
        'relation "raw.orders" does not exist',
        "Got 3 results, configured to fail if != 0",
        "permission denied for table orders",
        "division by zero",
        "Catalog Error: Table with name stg_orders does not exist!",
        "KeyError: 'lock'",
        "timeout after 3600 s",
        "column connection_id does not exist",
        "",
    ],
)
def test_permanent_failures_are_not_taken_for_temporary_ones(message):
    assert not is_transient(message)


def test_patterns_are_found_anywhere_whatever_the_case_and_across_lines():
    said = "Database Error\n   Quota   exceeded: project 12, retry in 30 s"
    for pattern in ("quota exceeded", "QUOTA*retry", "project ??,", "retry in [0-9]"):
        assert matches(said, [pattern])
    assert not matches(said, ["quota retry", "project ?,"])
    assert not matches(said, [])


def test_which_failures_are_worth_a_try():
    lock, syntax = "deadlock detected", "syntax error"
    assert is_worth_a_try(syntax, "any", []) and is_worth_a_try(lock, "transient", [])
    assert not is_worth_a_try(syntax, "transient", ["syntax"])
    assert is_worth_a_try(syntax, "matching", ["SYNTAX"]) and not is_worth_a_try(lock, "matching", ["SYNTAX"])


def test_patterns_that_cannot_mean_anything_are_refused_with_what_to_do():
    assert "matches every message" in problem_of("quota\n * * \n")
    assert "at most 50" in problem_of("\n".join(f"p{n}" for n in range(51)))
    assert "at most 200" in problem_of("x" * 201)
    assert problem_of("quota*\n\n") == ""


@pytest.mark.django_db
def test_a_policy_without_messages_is_refused_at_flow_and_node():
    flow = sample_flow()
    flow.retry_on = "matching"
    with pytest.raises(ValidationError, match="Enter the messages"):
        flow.full_clean()
    with pytest.raises(ValidationError, match="Enter the messages"):
        Node(flow=flow, name="n", retry_on="matching").full_clean()


@pytest.mark.django_db
def test_the_policy_travels_with_export_import_and_history():
    flow = sample_flow()
    flow.retries, flow.retry_on, flow.retry_patterns = 2, "matching", "quota*\nlock"
    save_flow(flow)
    save_node(Node(flow=flow, name="Marts", include=["tag:mart"], retry_on="transient"))
    text = to_yaml(document_of(flow))
    assert "retry_on: matching" in text and "retry_on: transient" in text
    import_flow(from_yaml(text.replace("retry_on: transient", "retry_on: any")))
    assert flow.nodes.get().retry_on == "any"
    old = flow.changes.get(version=2)
    del old.document["retry_on"], old.document["retry_patterns"]
    for node in old.document["nodes"]:
        del node["retry_on"], node["retry_patterns"]
    old.save()
    restore_flow(flow, 2)
    assert Flow.objects.get(pk=flow.pk).retry_on == "any"
