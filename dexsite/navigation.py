"""What frames every page: the menu and the choice of environment."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from flows.models import Environment
from flows.projects.current_environment import chosen_environment, environments


@dataclass(frozen=True)
class Entry:
    """A line of the menu."""

    title: str
    icon: str
    view: str
    permission: str = ""  # none: everybody who is logged in
    also: tuple[str, ...] = ()  # views whose pages belong to it too
    below: str = ""  # a folder of addresses, from Home on, that belong to it too

    @property
    def in_admin(self) -> bool:
        """Whether it leads to a page of the admin, which opens for staff alone."""
        return self.view.startswith("admin:")


@dataclass(frozen=True)
class Shown:
    """A line of the menu as one user sees it on one page; `current` is the value of aria-current."""

    title: str
    icon: str
    url: str
    current: str


@dataclass(frozen=True)
class Section:
    """Lines that belong together."""

    title: str
    entries: list[Shown]


MENU: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "",
        (
            Entry("Home", "home", "home"),
            Entry("Flows", "workflow", "runs:flows", "flows.view_flow"),
            Entry(
                "Runs", "play", "runs", "runs.view_run", ("admin:runs_run_changelist", "admin:runs_taskrun_changelist")
            ),
            Entry("Failures", "circle-alert", "runs:failures", "runs.view_run"),
            Entry("Calendar", "calendar-clock", "runs:calendar", "flows.view_flow"),
            Entry("Models", "boxes", "nodes:models", "flows.view_flow"),
            Entry("Connections", "plug", "nodes:connections", "nodes.view_connection"),
            Entry("Variables", "variable", "nodes:variables", "flows.view_variable"),
            Entry("Environments", "server", "admin:flows_environment_changelist", "flows.view_environment"),
        ),
    ),
    (
        "Admin",
        (
            Entry("Projects", "folder", "admin:flows_project_changelist", "flows.view_project", below="projects/"),
            Entry("Alerts", "activity", "runs:alerts", "runs.view_channel"),
            Entry("Status", "shield", "status", "flows.view_project"),
            Entry("Pools", "layers", "admin:runs_pool_changelist", "runs.view_pool"),
            Entry("Users", "user", "admin:auth_user_changelist", "auth.view_user"),
            Entry("Groups", "users", "admin:auth_group_changelist", "auth.view_group"),
            Entry("Logins", "lock", "admin:flows_login_changelist", "flows.view_login"),
            Entry("Audit", "history", "admin:nodes_change_changelist", "nodes.view_change"),
        ),
    ),
)


def may_open(request: HttpRequest, entry: Entry) -> bool:
    """Whether this entry leads this user anywhere."""
    if entry.in_admin and not admin.site.has_permission(request) and entry.permission:
        return False
    return not entry.permission or request.user.has_perm(entry.permission)


def entries_for(request: HttpRequest) -> Iterator[tuple[str, Entry, str]]:
    """What of the menu this user may open: (section, entry, address)."""
    for section, entries in MENU:
        for entry in entries:
            if may_open(request, entry):
                yield section, entry, reverse(entry.view)


class Navigation:
    """Read by templates/base.html alone: a fragment without it pays nothing for it."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @cached_property
    def menu(self) -> list[Section]:
        """The menu, with the entry that this page belongs to marked."""
        allowed = list(entries_for(self.request))
        path, home = self.request.path, reverse("home")
        # Of several entries that this page lies below, the one with the longest address is meant.
        places = [(place, entry) for _, entry, url in allowed for place in (url, *map(reverse, entry.also))]
        places += [(f"{home}{entry.below}", entry) for _, entry, _ in allowed if entry.below]
        fitting = [(len(place), entry) for place, entry in places if path.startswith(place) and place != home]
        here = max(fitting, key=itemgetter(0), default=(0, None))[1]
        sections: dict[str, list[Shown]] = {}
        for section, entry, url in allowed:
            current = "page" if url == path else "true" if entry is here else ""
            sections.setdefault(section, []).append(Shown(entry.title, entry.icon, url, current))
        return [Section(title, entries) for title, entries in sections.items()]

    @property
    def environments(self) -> list[Environment]:
        """The environments to choose from."""
        return environments(self.request)

    @property
    def environment(self) -> Environment | None:
        """The chosen one; None for all environments."""
        return chosen_environment(self.request)


def navigation(request: HttpRequest) -> dict[str, Navigation]:
    """The context processor."""
    return {"navigation": Navigation(request)}
