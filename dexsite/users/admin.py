"""Admin pages of users and groups."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import QuerySet
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest

from dexsite.users.passwords import OthersPassword
from flows.logins.tokens import revoke_all

#: Permissions of other apps exist because Django makes them; dex asks for none of them.
APPS = ("auth", "flows", "nodes", "runs")


class PermissionsField(ModelMultipleChoiceField):
    """Permissions by what they say, without app and table."""

    def label_from_instance(self, obj: Any) -> str:
        """How a role is named in the list."""
        return str(obj.name)


def _readable(db_field: Any) -> dict[str, Any]:
    """What the form field of permissions differs in; nothing for other fields."""
    if db_field.remote_field.model is not Permission:
        return {}
    offered = Permission.objects.filter(content_type__app_label__in=APPS).order_by("name")
    return {"form_class": PermissionsField, "queryset": offered}


admin.site.unregister(Group)
admin.site.unregister(User)


@admin.register(Group)
class RoleAdmin(GroupAdmin):
    """Groups: viewer, operator, editor, admin, and those made here."""

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        """Offers permissions in words."""
        return super().formfield_for_manytomany(db_field, request, **{**kwargs, **_readable(db_field)})


@admin.register(User)
class PersonAdmin(UserAdmin):
    """Users. Only a superuser makes superusers, or touches one: who manages users would else be one."""

    change_password_form = OthersPassword
    list_display = ("username", "first_name", "last_name", "email", "member_of", "is_active", "last_login")
    list_filter = ("is_active", "groups", "is_superuser")
    readonly_fields = ("last_login", "date_joined")
    fieldsets: ClassVar = (
        (None, {"fields": ("username", "password")}),
        ("Personal info", {"fields": ("first_name", "last_name", "email")}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        """Offers permissions in words."""
        return super().formfield_for_manytomany(db_field, request, **{**kwargs, **_readable(db_field)})

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Who is switched off keeps no API token, also for the day on which they are switched on again."""
        super().save_model(request, obj, form, change)
        if not obj.is_active and (number := revoke_all(obj)):
            self.message_user(request, f"{number} API token{'' if number == 1 else 's'} of {obj} revoked.")

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """What is noted of a change; after that of a password, also what became of tokens is told."""
        if said := getattr(form, "said", ""):
            self.message_user(request, said)
        return super().construct_change_message(request, form, formsets, add)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Users with their roles."""
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="groups")
    def member_of(self, user: User) -> str:
        """The groups of a user, in a line."""
        return ", ".join(group.name for group in user.groups.all())

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What only superusers change."""
        own = () if request.user.is_superuser else ("is_superuser", "user_permissions")
        return (*super().get_readonly_fields(request, obj), *own)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers are changed by superusers alone."""
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers are deleted by superusers alone."""
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Of those chosen in the list, the ones that this user may delete."""
        if not request.user.is_superuser:
            queryset = queryset.filter(is_superuser=False)
        super().delete_queryset(request, queryset)


def _may_touch(request: HttpRequest, user: Any) -> bool:
    return request.user.is_superuser or user is None or not user.is_superuser
