"""The admin site, and what its pages share."""

from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from flows.access import ROLES

LONGEST_ID = 18  # digits


class DexAdminSite(AdminSite):
    """django.contrib.admin under dex's name. Its login is everybody's, its other pages are for staff and roles."""

    site_header = "dex"
    site_title = "dex"
    index_title = "Admin"
    login_form = AuthenticationForm
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        """Staff, and whoever has one of dex's roles; what they see there, their permissions decide."""
        user = request.user
        if not user.is_active or user.is_anonymous:
            return False
        if not hasattr(user, "_has_role"):  # asked for several times a page
            user._has_role = user.is_staff or user.groups.filter(name__in=ROLES).exists()  # type: ignore[attr-defined]
        return bool(user._has_role)  # type: ignore[attr-defined]

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """The admin's own; whoever is logged in may log out and change their password, staff or not."""
        return [
            path("logout/", self.logout, name="logout"),
            path("password_change/", self.password_change, name="password_change"),
            path("password_change/done/", self.password_change_done, name="password_change_done"),
            *super().get_urls(),
        ]

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The login page; it leads where the visitor was going, otherwise to Home."""
        if request.method == "GET" and self.has_permission(request):
            return redirect("home")
        going = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME)
        target = {} if going else {REDIRECT_FIELD_NAME: reverse("home")}
        return super().login(request, {**(extra_context or {}), **target})


class ObjectActions(ModelAdmin):
    """Offers the actions of a list on the page of one row too, as buttons that post what the list would."""

    def offers(self, action: str, obj: Any) -> bool:
        """Whether this action makes sense for the row as it is now."""
        return action != "delete_selected"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of a row; templates/admin/change_form_object_tools.html shows the buttons."""
        obj = self.get_object(request, object_id)
        actions = [action for action in self.get_actions(request).values() if action] if obj is not None else []
        offered = [(name, label) for _, name, label in actions if self.offers(name, obj)]
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "object_actions": offered})

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; an action on what cannot be a row is a bad request, not an error of the site."""
        for row in request.POST.getlist(ACTION_CHECKBOX_NAME):
            if not row.isdecimal() or len(row) > LONGEST_ID:
                raise BadRequest("There is no such row.")
        return super().changelist_view(request, extra_context)
