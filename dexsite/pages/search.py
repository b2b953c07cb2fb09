"""What the search of the top bar finds: flows, models, runs by number, pages and actions."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse

from dexsite.navigation import Entry, entries_for, may_open
from flows.models import Environment, Flow
from flows.projects.current_environment import chosen_environment, environments
from nodes.catalogue import LISTED, model_url
from nodes.dbt.manifest import Manifest
from nodes.dbt.stored_manifests import manifest_of
from runs.models import Run

MOST = 8  # of a group
LONGEST = 200
LONGEST_NUMBER = 18

ACTIONS = (
    Entry("New flow", "plus", "nodes:new_flow", "flows.add_flow"),
    Entry("Import a flow", "upload", "nodes:import", "flows.add_flow"),
    Entry("Add project", "plus", "admin:flows_project_add", "flows.add_project"),
    Entry("Add environment", "plus", "admin:flows_environment_add", "flows.add_environment"),
    Entry("Add user", "plus", "admin:auth_user_add", "auth.add_user"),
    Entry("Change password", "key-round", "admin:password_change"),
)
MODEL_ICONS = {"source": "database", "seed": "file-code", "snapshot": "archive", "exposure": "eye"}


@dataclass(frozen=True)
class Hit:
    """A line of the results; `note` stands beside the title, smaller."""

    title: str
    note: str
    url: str
    icon: str


@dataclass(frozen=True)
class Group:
    """Hits of one kind."""

    title: str
    items: list[Hit]


class _Named(NamedTuple):
    """A resource of a manifest as the search looks at it."""

    lower: str
    leaf: str
    identifier: str
    unique_id: str
    resource_type: str


def search(request: HttpRequest, query: str) -> list[Group]:
    """What this user may open and what has all these words in its name. Without words: the pages and actions."""
    words = query.replace("\0", " ").lower()[:LONGEST].split()  # PostgreSQL refuses the character 0
    groups = [Group("Go to", _places(request, words))]
    if words:
        groups = [
            Group("Runs", _runs(request, query)),
            Group("Flows", _flows(request, words)),
            Group("Models", _models(request, words)),
            *groups,
        ]
    return [group for group in groups if group.items]


def as_json(groups: Iterable[Group]) -> dict[str, Any]:
    """The results for static/js/palette.js."""
    return {"groups": [asdict(group) for group in groups]}


def _places(request: HttpRequest, words: list[str]) -> list[Hit]:
    places = [Hit(entry.title, section, url, entry.icon) for section, entry, url in entries_for(request)]
    places += [Hit(entry.title, "", reverse(entry.view), entry.icon) for entry in ACTIONS if may_open(request, entry)]
    fitting = [place for place in places if all(word in place.title.lower() for word in words)]
    return fitting[:MOST] if words else fitting


def _flows(request: HttpRequest, words: list[str]) -> list[Hit]:
    if not request.user.has_perm("flows.view_flow"):
        return []
    rows = Flow.objects.select_related("environment__project").only("name", "environment__name", "environment__project")
    chosen = chosen_environment(request)
    if chosen is not None:
        rows = rows.filter(environment=chosen)
    for word in words:
        rows = rows.filter(name__icontains=word)
    flows = sorted(rows[: MOST * 8], key=lambda flow: _rank(flow.name.lower(), words))
    return [
        Hit(flow.name, str(flow.environment), reverse("nodes:editor", args=[flow.pk]), "workflow")
        for flow in flows[:MOST]
    ]


def _runs(request: HttpRequest, query: str) -> list[Hit]:
    number = query.strip().removeprefix("#")
    if not (number.isdecimal() and len(number) <= LONGEST_NUMBER and request.user.has_perm("runs.view_run")):
        return []
    rows = Run.objects.filter(pk=int(number)).only("flow_name", "state")
    return [Hit(str(run), run.state, reverse("runs:run", args=[run.pk]), "play") for run in rows]


def _models(request: HttpRequest, words: list[str]) -> list[Hit]:
    if not request.user.has_perm("flows.view_flow"):
        return []
    chosen = chosen_environment(request)
    places = [chosen] if chosen else environments(request)
    fitting: list[tuple[_Named, Environment]] = []
    for place in places:
        if place.current_revision is None:
            continue
        with suppress(FileNotFoundError):
            names = _names(manifest_of(place.current_revision))
            fitting += [(named, place) for named in names if all(word in named.lower for word in words)]
    fitting.sort(key=lambda match: (_rank(match[0].leaf, words), match[0].identifier))
    return [
        Hit(
            named.identifier,
            named.resource_type if chosen else f"{named.resource_type} in {place}",
            model_url(named.unique_id, None if chosen else place.pk),
            MODEL_ICONS.get(named.resource_type, "table"),
        )
        for named, place in fitting[:MOST]
    ]


def _names(manifest: Manifest) -> list[_Named]:
    """Made once a manifest, and kept with it."""
    if "search" not in manifest.memo:
        manifest.memo["search"] = [
            _Named(row.identifier.lower(), row.name.lower(), row.identifier, row.unique_id, row.resource_type)
            for row in manifest.rows
            if row.resource_type in LISTED
        ]
    names: list[_Named] = manifest.memo["search"]
    return names


def _rank(name: str, words: list[str]) -> tuple[int, int]:
    """Smaller is better: the very name, then names that begin so, then those that hold it; short before long."""
    first = words[0]
    return (0 if name == first else 1 if name.startswith(first) else 2 if first in name else 3, len(name))
