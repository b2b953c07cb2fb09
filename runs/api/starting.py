"""Starting a flow by the API: once for each key, and not more often than the installation allows."""

import hashlib
import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from flows.models import Flow
from flows.parameters import ParameterError, check_values, wrong_values
from runs.api.errors import ApiError
from runs.models import Run, Trigger
from runs.services import start_run

WINDOW = timedelta(minutes=1)


def start_once(user: AbstractBaseUser, flow: Flow, given: Mapping[str, Any], key: str) -> tuple[Run, bool]:
    """Start `flow`, or find the run that this user started with this key. Out: the run, and whether it is an old one.

    In: `key`, an idempotency key, empty for none. Raises ApiError: invalid_parameters, idempotency_key_reused,
    too_many_starts.
    """
    kept = _kept(user, flow, key) if key else None
    with transaction.atomic():
        # One start of a user at a time: the second of two with one key finds the first, and nobody overtakes the limit.
        # Not the whole row: rows that refer to the user may be written meanwhile. SQLite has one writer anyhow.
        get_user_model()._default_manager.select_for_update(no_key=True).get(pk=user.pk)
        if kept and (existing := Run.objects.filter(key=kept).first()):
            return _same(existing, flow, given), True
        if wrong := wrong_values(flow.parameters, given):
            details = [{"parameter": name, "message": message} for name, message in wrong.items()]
            raise ApiError("invalid_parameters", " ".join(wrong.values())[:1000], details)
        _check_limit(user)
        name = user.get_username()
        run = start_run(flow, trigger=Trigger.API, actor=name, user=user, key=kept, parameters=given)
    return run, False


def _kept(user: AbstractBaseUser, flow: Flow, key: str) -> str:
    """What is kept of a key: two people's never meet, nor two flows', and it is as long as the column allows."""
    return "api " + hashlib.sha256(f"{user.pk} {flow.pk} {key}".encode()).hexdigest()


def _same(earlier: Run, flow: Flow, given: Mapping[str, Any]) -> Run:
    try:
        same = check_values(flow.parameters, given) == earlier.parameters
    except ParameterError:
        same = False
    if not same:
        message = (
            f"Run {earlier.pk} was started with this Idempotency-Key and other parameters. Use a new key for a new run."
        )
        raise ApiError("idempotency_key_reused", message, [{"run": earlier.pk}])
    return earlier


def _check_limit(user: AbstractBaseUser) -> None:
    most, now = settings.API_STARTS_PER_MINUTE, timezone.now()
    rows = Run.objects.filter(triggered_by=user.pk, trigger=Trigger.API).order_by("-id")
    latest = list(rows.values_list("created_at", flat=True)[:most])
    if len(latest) == most and latest[-1] > now - WINDOW:
        wait = math.ceil((latest[-1] + WINDOW - now).total_seconds())
        message = (
            f"{user.get_username()} started {most} runs in the last minute, which is the limit. Try again in {wait} s."
        )
        raise ApiError("too_many_starts", message, headers={"Retry-After": str(wait)})
