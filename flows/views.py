"""The pages of API tokens, and of how a repository tells dex of pushes."""

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from flows.access import acting
from flows.forms import TokenForm
from flows.logins.tokens import TokenError, issue, revoke, tokens_to_see
from flows.models import Project, Token
from flows.projects import credentials
from flows.variables.encryption import Unreadable
from flows.variables.sealed import problem_of

PAGE = 50


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """The tokens that this person may see; a POST makes one and shows its secret, in this answer and never again.

    No redirect follows, as it would have to keep the secret somewhere; what a reload sends again is refused, because
    the name is taken.
    """
    form = TokenForm(request.POST if request.method == "POST" else None)
    token: Token | None = None
    secret = ""
    if request.method == "POST" and form.is_valid():
        try:
            token, secret = issue(form.cleaned_data["name"], form.expires_at)
        except TokenError as error:
            form.add_error("name", str(error))
        else:
            form = TokenForm()
    context = {
        "form": form,
        "made": token,
        "secret": secret,
        "address": request.build_absolute_uri(reverse("api:flows")),
        "page": Paginator(tokens_to_see(), PAGE).get_page(request.GET.get("page")),
        "of_everybody": acting().may("auth.view_user"),
        "may_add": acting().may("flows.view_flow"),
    }
    return render(request, "flows/tokens.html", context, status=422 if form.errors else 200)


@require_POST
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    """Revoke a token, one's own or that of somebody whom one may see."""
    token = get_object_or_404(tokens_to_see(), pk=token_id)
    if revoke(token):
        messages.success(request, f"The token {token.name} was revoked.")
    else:
        messages.warning(request, f"The token {token.name} was already revoked.")
    return redirect("flows:tokens")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("flows.change_project", raise_exception=True)
def pushes(request: HttpRequest, project_id: int) -> HttpResponse:
    """How the host of a project's repository tells of pushes; a POST makes a fresh key, shown in this answer alone."""
    project = get_object_or_404(Project, pk=project_id)
    secret = ""
    if request.method == "POST" and "stop" in request.POST:
        credentials.keep(project, "push_secret", "")
        messages.success(request, f"dex now ignores pushes to {project}.")
        return redirect("flows:pushes", project.pk)
    if request.method == "POST":
        try:
            secret = credentials.new_push_secret(project)
        except Unreadable as error:
            messages.error(request, f"No key was created: {error}.")
    context = {
        "project": project,
        "secret": secret,
        "unreadable": "" if secret else problem_of(project, "push_secret"),
        "address": request.build_absolute_uri(reverse("pushed", args=[project.pk])),
        "branches": project.environments.exclude(branch="").values_list("branch", flat=True),
    }
    return render(request, "flows/pushes.html", context)
