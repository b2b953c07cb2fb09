"""Records which failure each failed task run had. Safe to call from any process, any number of times."""

import re
from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Least
from django.utils import timezone

from nodes.ordering import GATE
from runs.alerts.failure_groups.models import Failure, FailureGroup
from runs.alerts.failure_groups.normalise import digest_of, first_error_line, is_said_by, normalise
from runs.logs.masking import redactor_of
from runs.models import TaskRun
from runs.states import TaskState

LONGEST_EXAMPLE = 2000
UNKNOWN = "failed without a message"
_TESTS_FAILED = re.compile(r"\d{1,9} of \d{1,9} (?:unit )?tests failed: ")
_BAD = ("fail", "error", "runtime error")


def record_failures(run_ids: Iterable[int]) -> int:
    """Give every failed task run of these runs its group; how many had none before."""
    rows = TaskRun.objects.filter(run__in=list(run_ids), state=TaskState.FAILED, failure=None)
    done = 0
    for row in rows.exclude(kind=GATE).exclude(run__trigger="test").order_by("ended_at", "pk"):
        done += _record(row)
    return done


def _record(row: TaskRun) -> bool:
    """Whether this call was the one that recorded it."""
    line = masked(row.run_id, error_line(row))
    text = normalise(line) or UNKNOWN
    at = row.ended_at or timezone.now()
    try:
        with transaction.atomic():
            kept, _ = FailureGroup.objects.get_or_create(
                digest=digest_of(text), defaults={"text": text, "first_seen": at, "last_seen": at}
            )
            same = FailureGroup.objects.filter(pk=kept.pk)
            same.update(last_seen=Greatest(F("last_seen"), at), first_seen=Least(F("first_seen"), at))  # takes the row
            if Failure.objects.filter(task_run=row).exists():
                return False  # another process was first
            Failure.objects.create(task_run=row, group=kept, at=at)
            same.update(count=F("count") + 1, example=line[:LONGEST_EXAMPLE], last_task_run=row)
    except IntegrityError:
        return False  # another process was first, and masked other secrets
    return True


def error_line(row: TaskRun) -> str:
    """What a failed task run said first, in one line: the warehouse's words, else those of its first bad test."""
    result = row.result or {}
    texts = [_in_order(row.reason, result)]
    if result.get("status") in ("error", "runtime error"):
        message = str(result.get("message") or "")
        # A reason is a message with its lines in one: the message tells where its heading ends.
        texts.insert(0 if is_said_by(row.reason, message) else 1, message)
    texts += [str(test.get("message") or "") for test in result.get("tests", ()) if test.get("status") != "pass"]
    return next((line for line in map(first_error_line, texts) if line), "")


def _in_order(reason: str, result: dict[str, Any]) -> str:
    """The same for the same failed tests, in whichever order they ended."""
    begins = _TESTS_FAILED.match(reason)
    names = [str(test.get("name") or "") for test in result.get("tests", ()) if test.get("status") in _BAD]
    return begins[0] + ", ".join(sorted(names)) if begins and names else reason


def masked(run_id: int, text: str) -> str:
    """A text without the secrets in scope of the run."""
    return redactor_of(run_id).whole(text)


def failure_group_of(task_run: TaskRun) -> FailureGroup | None:
    """The group of a failed task run; None for one that has not been recorded."""
    return FailureGroup.objects.filter(failures__task_run=task_run).first()
