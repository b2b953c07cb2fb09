"""What pages of the admin have in common: rows that are only read, and actions on the page of one row."""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse

from flows.infra.ids import id_of


class ReadOnly(ModelAdmin):
    """Rows to look at and to search. Whoever edits them does it on pages of their own, or nobody does."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds one here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes one here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes one here."""
        return False


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
            if id_of(row) is None:
                raise BadRequest("Not found.")
        return super().changelist_view(request, extra_context)
