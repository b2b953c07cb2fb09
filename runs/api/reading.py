"""What a request says: its body, its query, its idempotency key."""

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError

from flows.infra import ids
from runs.api.errors import ApiError

LARGEST_BODY = 64 * 1024  # bytes
MOST = 100  # rows of a page
USUAL = 50
_KEY = re.compile(r"[\x20-\x7e]{1,200}\Z")


def parameters_of(request: HttpRequest) -> dict[str, Any]:
    """The values that a start gives; an empty body gives none."""
    body = _json(request)
    if not isinstance(body, dict):
        raise ApiError("invalid_body", 'The body must be a JSON object such as {"parameters": {"day": "2026-01-31"}}.')
    if unknown := sorted(set(body) - {"parameters"}):
        details = [{"field": name, "message": "unknown"} for name in unknown]
        raise ApiError("invalid_body", 'The only field of the body is "parameters".', details)
    parameters = body.get("parameters", {})
    if not isinstance(parameters, dict):
        details = [{"field": "parameters", "message": "not an object"}]
        raise ApiError("invalid_body", "parameters must be an object that maps names to values.", details)
    return parameters


def _json(request: HttpRequest) -> Any:
    raw = _body(request)
    if not raw:
        return {}
    if request.content_type != "application/json":
        raise ApiError("unsupported_media_type", "Send the body as JSON, with Content-Type: application/json.")
    try:
        return json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        why = "too deep" if isinstance(error, RecursionError) else str(error)[:200]
        raise ApiError("broken_json", f"The body is not JSON: {why}.") from error


def _body(request: HttpRequest) -> bytes:
    if request.headers.get("Transfer-Encoding"):
        # Without a length the body would be read as empty, and a run start with defaults that nobody asked for.
        raise ApiError("length_required", "Send Content-Length, without Transfer-Encoding.")
    too_large = ApiError("body_too_large", f"The body can have at most {LARGEST_BODY} bytes.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or len(length) > 18 or int(length) > LARGEST_BODY:
        raise too_large
    try:
        raw = request.body
    except RequestDataTooBig:
        raise too_large from None
    except UnreadablePostError as error:
        raise ApiError("broken_json", "The body ended too early.") from error
    if len(raw) > LARGEST_BODY:
        raise too_large
    return raw


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("an object has the same name twice")
    return unique


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def idempotency_key(request: HttpRequest) -> str:
    """The header Idempotency-Key; empty where there is none."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.match(key):
        message = "An Idempotency-Key must have 1 to 200 printable ASCII characters."
        raise ApiError("invalid_idempotency_key", message)
    return key or ""


class Query:
    """The part of an address after the question mark. Names that are not `known` are refused: a typo would else
    widen what is asked."""

    def __init__(self, request: HttpRequest, *names: str) -> None:
        self.given = request.GET
        if unknown := [name for name in self.given if name not in names]:
            takes = (
                f"This endpoint takes the query parameters {', '.join(names)}."
                if names
                else "This endpoint takes no query parameters."
            )
            raise ApiError("invalid_query", takes, [{"field": name, "message": "unknown"} for name in unknown])

    def text(self, name: str) -> str | None:
        """A text; None when it is not given."""
        value = self.given.get(name)
        if value is not None and "\0" in value:
            self._refuse(name, "contains a NUL character")
        return value

    def one_of(self, name: str, allowed: Sequence[str]) -> str | None:
        """One of these words; None when it is not given."""
        value = self.given.get(name)
        if value is not None and value not in allowed:
            self._refuse(name, f"must be one of {', '.join(allowed)}")
        return value

    def mark(self, name: str) -> int | None:
        """The id at which a page begins; None when it is not given."""
        return self._number(name, 0, ids.LARGEST)

    @property
    def limit(self) -> int:
        """How many rows a page has."""
        return self._number("limit", 1, MOST) or USUAL

    def _number(self, name: str, least: int, most: int) -> int | None:
        value = self.given.get(name)
        if value is None:
            return None
        number = int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else -1
        if not least <= number <= most:
            self._refuse(name, f"must be a whole number from {least} to {most}")
        return number

    def _refuse(self, name: str, why: str) -> NoReturn:
        raise ApiError("invalid_query", f"{name} {why}.", [{"field": name, "message": why}])
