"""What the API refuses, and how it says so."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import JsonResponse

#: code -> HTTP status; the table of docs/api.md equals this one.
CODES = {
    "broken_json": 400,
    "invalid_query": 400,
    "invalid_idempotency_key": 400,
    "token_in_address": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "run_over": 409,
    "length_required": 411,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_body": 422,
    "invalid_parameters": 422,
    "idempotency_key_reused": 422,
    "too_many_starts": 429,
    "internal_error": 500,
    "unavailable": 503,
}


class ApiError(Exception):
    """A request is refused: `code` is one of CODES; the message says why and what to do, `details` what it is about."""

    def __init__(
        self,
        code: str,
        message: str,
        details: Iterable[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.details, self.headers = code, message, list(details), dict(headers or {})

    def response(self) -> JsonResponse:
        """The answer: {"error": {"code", "message", "details"}}."""
        error = {"code": self.code, "message": self.message, "details": self.details}
        return JsonResponse({"error": error}, status=CODES[self.code], headers=self.headers)
