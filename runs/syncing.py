"""When environments are synced: after a push, at an interval, or because somebody clicked; always by a worker. What a
repository says is never read by the process that answers requests."""

import hashlib
import hmac
import json
import logging
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs

from django.contrib.auth.decorators import login_not_required, permission_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from flows.models import Environment, Project
from flows.projects import credentials
from flows.variables.encryption import Unreadable
from nodes.sync import SyncError, sync
from runs import bell

log = logging.getLogger("dex.sync")
LARGEST = 5 * 1024 * 1024  # bytes of a message about a push
LARGEST_ID = 2**63
PATIENCE = timedelta(seconds=60)  # a sync that was asked for and has not happened yet is rung for again


def ask_to_sync(environments: QuerySet[Environment]) -> int:
    """Want these environments synced by a worker; how many they are."""
    pks = list(environments.values_list("pk", flat=True))
    Environment.objects.filter(pk__in=pks).update(sync_asked_at=timezone.now())
    bell.ring_sync(pks)
    return len(pks)


def sync_if_asked(environment_id: int) -> None:
    """Sync an environment if somebody still wants that; the wish ends with the sync, so a crash loses nothing."""
    row = Environment.objects.select_related("project").filter(pk=environment_id, sync_asked_at__isnull=False).first()
    if row is None:
        return
    try:
        sync(row)
    except SyncError as error:  # noted on the environment, which keeps its last good revision
        log.info("%s does not sync: %s", row, error)
    except Exception as error:  # a full disk, a fault of dex: whoever waits for it must see an end
        log.exception("%s could not be synced", row)
        said = f"It could not be synced: {type(error).__name__}: {error}"
        Environment.objects.filter(pk=row.pk).update(sync_error=said[:2000], synced_at=timezone.now())
    Environment.objects.filter(pk=row.pk, sync_asked_at=row.sync_asked_at).update(sync_asked_at=None)


def sync_what_is_due() -> None:
    """Ask for the environments whose interval is over, and again for those that were asked for long ago."""
    now = timezone.now()
    rows = Environment.objects.filter(sync_every__gt=0, sync_asked_at=None).values_list("pk", "sync_every", "synced_at")
    due = [pk for pk, every, at in rows if at is None or at <= now - timedelta(minutes=every)]
    if due:
        ask_to_sync(Environment.objects.filter(pk__in=due))
    late = Environment.objects.filter(sync_asked_at__lt=now - PATIENCE).exclude(pk__in=due)
    bell.ring_sync(late.values_list("pk", flat=True))


@require_safe
@permission_required("flows.view_environment", raise_exception=True)
def sync_state(request: HttpRequest, environment_id: int) -> HttpResponse:
    """How far the sync of an environment is; a part of a page that asks until it is over."""
    rows = Environment.objects.select_related("current_revision")
    row = get_object_or_404(rows, pk=environment_id if environment_id < LARGEST_ID else None)
    return render(request, "runs/_sync.html", {"row": row, "late": is_late(row)})


def is_late(row: Environment) -> bool:
    """Whether a sync was asked for so long ago that one may wonder about workers."""
    return row.sync_asked_at is not None and timezone.now() - row.sync_asked_at > PATIENCE


@csrf_exempt  # no cookie is looked at: the signature says who asks
@login_not_required
@never_cache
@require_POST
def pushed(request: HttpRequest, project_id: int) -> HttpResponse:
    """A repository's host tells of a push, in the format of GitHub or GitLab: its branch's environments are synced."""
    body = request.read(LARGEST + 1)
    if len(body) > LARGEST:
        return JsonResponse({"error": "The message is too large."}, status=413)
    project = Project.objects.filter(pk=project_id).first() if project_id < LARGEST_ID else None
    if project is None or not _is_signed(request, body, project):
        return JsonResponse(
            {"error": "There is no such address, or the message is not signed with its key."}, status=401
        )
    push = _push(request, body)
    if push is None:
        return JsonResponse({"synced": 0, "said": "Not about a branch."})
    branch, rows = push.branch, project.environments.filter(branch=push.branch)
    if push.deleted:
        said = f"The branch {branch} was deleted in the repository. Choose another one, or push it again."
        number = rows.update(sync_error=said[:2000], synced_at=timezone.now())
        log.info(
            "the branch %s of %s was deleted: %d environments keep their last revision", branch[:100], project, number
        )
        return JsonResponse({"synced": 0, "branch": branch, "said": "The branch was deleted."})
    number = ask_to_sync(rows)
    log.info("a push to %s of %s: %d environments are synced", branch[:100], project, number)
    return JsonResponse({"synced": number, "branch": branch}, status=202 if number else 200)


def _is_signed(request: HttpRequest, body: bytes, project: Project) -> bool:
    """GitHub signs with HMAC-SHA256 (X-Hub-Signature-256); GitLab sends the key itself (X-Gitlab-Token)."""
    try:
        secret = credentials.value_of(project, "push_secret")
    except Unreadable:
        return False
    if not secret:
        return False
    if signature := request.headers.get("X-Hub-Signature-256"):
        wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted.encode(), signature.encode(errors="replace"))
    token = request.headers.get("X-Gitlab-Token", "")
    return hmac.compare_digest(secret.encode(), token.encode(errors="replace"))


@dataclass(frozen=True)
class _Push:
    """What a host says of a branch."""

    branch: str
    deleted: bool


def _push(request: HttpRequest, body: bytes) -> _Push | None:
    """The branch that was pushed or deleted; None for tags and whatever else hosts tell of."""
    kind = request.headers.get("X-GitHub-Event") or request.headers.get("X-Gitlab-Event") or ""
    if kind and kind.lower() not in ("push", "push hook"):
        return None
    try:
        text = body.decode()
        if request.content_type == "application/x-www-form-urlencoded":
            text = parse_qs(text)["payload"][0]
        told = json.loads(text)
        ref, after = told["ref"], told.get("after")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(ref, str) or not ref.startswith("refs/heads/"):
        return None
    # GitHub says `deleted`; both name the commit after it, which is all zeros where there is none.
    deleted = told.get("deleted") is True or (isinstance(after, str) and bool(after) and not after.strip("0"))
    return _Push(ref.removeprefix("refs/heads/"), deleted)
