"""How times are written for programs: in the API, in messages and in what commands print as JSON."""

from datetime import UTC, datetime


def instant(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond: 2026-01-31T02:00:00.000Z. None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
