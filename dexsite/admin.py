"""The admin site: who may log in, and what lists of rows may be asked."""

from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from flows.access import ROLES
from flows.logins.forms import LogInForm
from flows.logins.throttle import remember_device

LONGEST_SEARCH = 200  # characters; each word becomes conditions of the query
LONGEST_ORDER = 100  # characters; each column becomes a term of it


class OfferedLookups(ModelAdmin):
    """Lists are narrowed by their own filters and searched by their own fields, and by nothing else in an address.

    Django lets an address narrow a list by any lookup on the fields of its rows, regular expressions too, which SQLite
    evaluates inside the process that answers.
    """

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The class of the list: what none of its filters takes is refused before anything is asked of the database."""
        base: type[ChangeList] = super().get_changelist(request, **kwargs)

        class Offered(base):  # type: ignore[misc, valid-type]
            def get_filters(self, request: HttpRequest) -> Any:
                result = super().get_filters(request)
                dates = self.date_hierarchy
                internal = {f"{dates}__gte", f"{dates}__lt"} if dates else set()  # what Django makes of year and month
                if unknown := sorted(set(result[2]) - internal):
                    raise DisallowedModelAdminLookup(f"This list has no filter {unknown[0][:100]}.")
                return result

        return Offered

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows that fit what was searched for, of which the beginning counts."""
        return super().get_search_results(request, queryset, search_term[:LONGEST_SEARCH])

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; an order that no click makes is no order."""
        if len(request.GET.get(ORDER_VAR, "")) > LONGEST_ORDER:
            query = request.GET.copy()
            del query[ORDER_VAR]
            return redirect(f"{request.path}?{query.urlencode()}")
        return super().changelist_view(request, extra_context)


class DexAdminSite(AdminSite):
    """django.contrib.admin under dex's name. Its login is everybody's, its other pages are for staff and roles."""

    site_header = "dex"
    site_title = "dex"
    index_title = "Admin"
    login_form = LogInForm
    enable_nav_sidebar = False

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Adds a page for rows, as Django does; its list takes only the lookups that it offers, whoever wrote it."""
        chosen = admin_class or ModelAdmin
        if not issubclass(chosen, OfferedLookups):
            chosen = type(
                chosen.__name__, (OfferedLookups, chosen), {"__doc__": chosen.__doc__, "__module__": chosen.__module__}
            )
        super().register(model_or_iterable, chosen, **options)

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

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The page on which people change their own password; it says what becomes of their API tokens."""
        from django.contrib.auth.views import PasswordChangeView

        from dexsite.users.passwords import OwnPassword

        class View(PasswordChangeView):
            form_class = OwnPassword
            success_url = reverse("admin:password_change_done")

            def form_valid(self, form: Any) -> HttpResponse:
                answer = super().form_valid(form)
                if form.said:
                    messages.success(request, form.said)
                return answer

        return View.as_view(extra_context={**self.each_context(request), **(extra_context or {})})(request)

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The login page; it leads where the visitor was going, otherwise to Home."""
        if request.method == "GET" and self.has_permission(request):
            return redirect("home")
        going = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME)
        target = {} if going else {REDIRECT_FIELD_NAME: reverse("home")}
        answer = super().login(request, {**(extra_context or {}), **target})
        if refused := getattr(request, "login_refused", None):
            answer.status_code = 429
            answer["Retry-After"] = str(refused.seconds)
        elif request.method == "POST" and answer.status_code == 302:
            remember_device(request, answer, request.user.get_username())
        return answer
