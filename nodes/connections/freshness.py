"""How old the data of sources is: when dex loaded them, and what dbt's `freshness` says of that."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from flows.models import Environment, Revision
from nodes.connections.connectors.streams import identifier
from nodes.dbt.manifest import Manifest, sources_of
from nodes.dbt.stored_manifests import manifest_of
from nodes.models import Connection, Load

_PERIODS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


class _Source(msgspec.Struct):
    freshness: Any = None


class _Sources(msgspec.Struct):
    sources: dict[str, _Source] = {}


@dataclass(frozen=True)
class Origin:
    """Which connection loads a source, and when it last did; `load` is None before the first time."""

    connection: Connection
    table: str
    load: Load | None


def origins_of(environment: Environment, manifest: Manifest) -> dict[str, Origin]:
    """Unique id of a source -> the connection of the project that loads it."""
    sources = sources_of(manifest)
    loads = {(load.connection_id, load.table): load for load in Load.objects.filter(environment=environment)}
    origins: dict[str, Origin] = {}
    for connection in environment.project.connections.all():
        for stream in connection.streams:
            table = identifier(stream)
            if unique_id := sources.get((connection.dataset, table)):
                origins[unique_id] = Origin(connection, table, loads.get((connection.pk, table)))
    return origins


def stale(revision: Revision, unique_ids: Collection[str], now: datetime) -> list[str]:
    """What is to be said before a run of sources that are older than their `freshness` allows, one sentence each.

    In: the sources that the run reads and does not load itself. Only what dex loads is known without asking the
    warehouse; the others are left to `dbt source freshness`.
    """
    limits = _limits(revision.manifest_path)
    if not limits.keys() & set(unique_ids):
        return []
    warnings = []
    for unique_id, origin in sorted(origins_of(revision.environment, manifest_of(revision)).items()):
        limit = limits.get(unique_id)
        if unique_id not in unique_ids or limit is None or origin.load is None:
            continue
        age = now - origin.load.at
        if age > limit:
            name = f"{origin.connection.dataset}.{origin.table}"
            warnings.append(f"{name} was loaded {_told(age)} ago; its freshness allows {_told(limit)}.")
    return warnings


@lru_cache(maxsize=32)
def _limits(manifest_path: str) -> dict[str, timedelta]:
    """Unique id of a source -> the age at which dbt warns (or fails, where it says only that)."""
    try:
        sources = msgspec.json.decode(Path(manifest_path).read_bytes(), type=_Sources).sources
    except (OSError, msgspec.DecodeError):
        return {}
    limits = {}
    for unique_id, source in sources.items():
        rules = source.freshness if isinstance(source.freshness, dict) else {}
        for name in ("warn_after", "error_after"):
            rule = rules.get(name) or {}
            if rule.get("count") and rule.get("period") in _PERIODS:
                limits[unique_id] = int(rule["count"]) * _PERIODS[rule["period"]]
                break
    return limits


def _told(age: timedelta) -> str:
    for unit, length in (("day", _PERIODS["day"]), ("hour", _PERIODS["hour"]), ("minute", _PERIODS["minute"])):
        if age >= length:
            number = age // length
            return f"{number} {unit}{'s' if number != 1 else ''}"
    return "less than a minute"
