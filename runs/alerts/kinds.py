"""The events that people may be told of."""

from django.db import models


class EventKind(models.TextChoices):
    """What happened."""

    START = "start", "A run starts"
    SUCCESS = "success", "A run succeeds"
    FAILURE = "failure", "A run fails"
    RECOVERED = "recovered", "A run succeeds after a failure"
    FIRST = "first", "A flow starts to fail (first failure in a row)"
    REPEATED = "repeated", "A flow fails several times in a row"
    LATE = "late", "A run does not start at its due time"
    SLOW = "slow", "A run takes longer than usual"
    TEST = "test", "A test message"


#: What a channel can be told of; a test is sent by hand alone.
TELLABLE = [kind for kind in EventKind if kind is not EventKind.TEST]
