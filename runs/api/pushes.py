"""The address at which the host of a repository tells of pushes, in the format of GitHub or GitLab."""

import hashlib
import hmac
import json
import logging
from dataclasses import dataclass
from urllib.parse import parse_qs

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from flows.models import Project
from flows.projects import credentials
from flows.variables.encryption import Unreadable
from runs.operations.syncing import ask_to_sync

log = logging.getLogger("dex.sync")
LARGEST = 5 * 1024 * 1024  # bytes of a message about a push


@csrf_exempt  # no cookie is looked at: the signature says who asks
@login_not_required
@never_cache
@require_POST
def pushed(request: HttpRequest, project_id: int) -> HttpResponse:
    """A repository's host tells of a push, in the format of GitHub or GitLab: its branch's environments are synced."""
    body = request.read(LARGEST + 1)
    if len(body) > LARGEST:
        return JsonResponse({"error": "The message is too large."}, status=413)
    project = Project.objects.filter(pk=project_id).first()
    if project is None or not _is_signed(request, body, project):
        return JsonResponse({"error": "Unknown URL, or the message is not signed with its key."}, status=401)
    push = _push(request, body)
    if push is None:
        return JsonResponse({"synced": 0, "said": "Not a push to a branch."})
    branch, rows = push.branch, project.environments.filter(branch=push.branch)
    if push.deleted:
        message = f"The branch {branch} was deleted in the repository. Choose another branch, or push it again."
        number = rows.update(sync_error=message[:2000], synced_at=timezone.now())
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
        expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))
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
        event = json.loads(text)
        ref, after = event["ref"], event.get("after")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(ref, str) or not ref.startswith("refs/heads/"):
        return None
    # GitHub says `deleted`; both name the commit after it, which is all zeros where there is none.
    deleted = event.get("deleted") is True or (isinstance(after, str) and bool(after) and not after.strip("0"))
    return _Push(ref.removeprefix("refs/heads/"), deleted)
