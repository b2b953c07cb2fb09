"""The pages of variables and secrets."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access import require
from flows.models import Project, Variable
from flows.projects.current_environment import chosen_environment
from flows.variables.encryption import Unreadable
from flows.variables.forms import VariableForm
from flows.variables.sealed import problem_of
from flows.variables.values import VariableError, variables_to_see
from nodes.services.variable_usage import delete_variable, places_of

PAGE = 100
looks = permission_required("flows.view_variable", raise_exception=True)


@require_safe
@looks
def variables(request: HttpRequest) -> HttpResponse:
    """All variables, or those that hold in the chosen environment."""
    environment = chosen_environment(request)
    rows = variables_to_see()
    if environment is not None:
        holds = Q(environment=None) | Q(environment=environment)
        rows = rows.filter(holds, project=environment.project)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    places = places_of(page)
    context = {
        "page": page,
        "rows": [(row, places[row.pk]) for row in page],
        "environment": environment,
        "has_projects": Project.objects.exists(),
    }
    return render(request, "nodes/variables.html", context)


@sensitive_post_parameters("value")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("flows.add_variable", raise_exception=True)
def new_variable(request: HttpRequest) -> HttpResponse:
    """A new variable."""
    chosen = chosen_environment(request)
    form = VariableForm(request.POST if request.method == "POST" else None, chosen=chosen)
    if request.method == "POST" and (row := _saved(form)):
        messages.success(request, f"{row.name} was saved. It takes effect with the next run.")
        return redirect("nodes:variables")
    return render(request, "nodes/variable.html", {"form": form}, status=422 if form.errors else 200)


@sensitive_post_parameters("value")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@looks
def variable(request: HttpRequest, variable_id: int) -> HttpResponse:
    """One variable: another value, where it is used, and its end."""
    row = _variable_or_404(variable_id)
    if request.method == "POST":
        require("flows.change_variable")
    form = VariableForm(request.POST if request.method == "POST" else None, row=row)
    if request.method == "POST" and _saved(form):
        messages.success(request, f"{row.name} was saved. The value takes effect with the next run.")
        return redirect("nodes:variable", row.pk)
    row = _variable_or_404(variable_id)  # as it is, whatever the form says
    context: dict[str, Any] = {"form": form, "row": row, "places": places_of([row])[row.pk]}
    if row.is_secret:
        context["unreadable"] = problem_of(row, "token")
    return render(request, "nodes/variable.html", context, status=422 if form.errors else 200)


@require_POST
@permission_required("flows.delete_variable", raise_exception=True)
def delete(request: HttpRequest, variable_id: int) -> HttpResponse:
    """Forget a variable; one that is used only when that was asked for with the places in sight."""
    row = _variable_or_404(variable_id)
    try:
        delete_variable(row, anyway="anyway" in request.POST)
    except VariableError as error:
        messages.error(request, f"{error} It was not deleted.")
        return redirect("nodes:variable", row.pk)
    messages.success(request, f"{row.name} was deleted.")
    return redirect("nodes:variables")


def _saved(form: VariableForm) -> Variable | None:
    """What a form made of its variable; None with what is wrong noted on it."""
    if not form.is_valid():
        return None
    try:
        return form.save()
    except VariableError as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
    except Unreadable as error:
        form.add_error("value", f"It cannot be encrypted: {error}.")
    return None


def _variable_or_404(variable_id: int) -> Variable:
    return get_object_or_404(variables_to_see(), pk=variable_id)
