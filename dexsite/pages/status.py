"""The status page: what this installation is made of, what lives, and what it may do. For administrators."""

import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from flows.infra.process.sandbox import WORDS
from runs.operations import heartbeats
from runs.operations.health import components

PACKAGES = ("django", "celery", "dbt-core", "dbt-duckdb", "dbt-postgres", "duckdb", "dlt", "uv")
LITTLE_BYTES = 500 * 1024**2  # of the disk under DEX_HOME


@dataclass(frozen=True)
class Worker:
    """A process that executes runs, as it said of itself."""

    host: str
    pid: int
    threads: int
    level: int | None
    other_user: bool
    is_low: bool
    missing: str
    exposed: tuple[str, ...]

    @property
    def words(self) -> str:
        """How it keeps scripts apart."""
        return WORDS.get(self.level or 0, "not reported yet")


@require_safe
@permission_required("flows.view_project", raise_exception=True)
def status(request: HttpRequest) -> HttpResponse:
    """Parts and workers, isolation of scripts, versions, space."""
    health = heartbeats.health(timezone.now())
    disk = shutil.disk_usage(settings.DEX_HOME)
    context: dict[str, Any] = {
        "components": components(health),
        "workers": [_worker(sign.detail) for sign in health.alive],
        "wanted": settings.ISOLATION,
        "versions": [("Python", sys.version.split()[0]), *((name, _version(name)) for name in PACKAGES)],
        "programs": [(name, bool(shutil.which(name))) for name in ("git", "bwrap", "ssh")],
        "free": disk.free,
        "is_full": disk.free < LITTLE_BYTES,
        "production": settings.PRODUCTION,
    }
    return render(request, "status.html", context)


def _worker(detail: dict[str, Any]) -> Worker:
    level = detail.get("isolation")
    return Worker(
        host=str(detail.get("host", "")),
        pid=int(detail.get("pid", 0)),
        threads=int(detail.get("threads", 0)),
        level=level,
        other_user=bool(detail.get("other_user")),
        is_low=level is not None and level < settings.ISOLATION,
        missing=str(detail.get("missing", "")),
        exposed=tuple(str(path) for path in detail.get("exposed", ())),
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
