"""What is different between two documents, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from nodes import kinds
from nodes.document.value import FLOW_FIELDS, Document, completed

_SAID = {"cron": "schedule", "spread": "start within minutes", "after": "starts after the flows"}


@dataclass(frozen=True)
class Difference:
    """One thing in which two documents differ. `node` is the id or name of the node it is about, None for the flow."""

    text: str
    node: int | str | None = None
    aspect: Literal["settings", "existence", "link", "place"] = "settings"


def differences(before: Document | None, after: Document) -> list[Difference]:
    """What is different in `after`, one line each: settings first, then node by node."""
    if before is None:
        return [Difference(f"created the flow with {len(after['nodes'])} nodes")]
    before, after = completed(before), completed(after)
    lines = [
        Difference(_changed(name, before.get(name), after[name]))
        for name in ("name", "environment", *FLOW_FIELDS)
        if before.get(name) != after[name]
    ]
    earlier, later = before["schedule"], after["schedule"]
    lines += [
        Difference(_changed(_SAID.get(name, name), earlier[name], later[name]))
        for name in later
        if earlier[name] != later[name]
    ]
    old, new = _pairs(before, after)
    lines += [
        Difference(f"deleted the node {node['name']}", key, "existence") for key, node in old.items() if key not in new
    ]
    for key, node in new.items():
        if key not in old:
            after_these = f", running after {', '.join(node['runs_after'])}" if node["runs_after"] else ""
            lines.append(
                Difference(
                    f"added the node {node['name']} ({kinds.of(node['type']).summary(node)}){after_these}",
                    key,
                    "existence",
                )
            )
        else:
            lines += _node_differences(
                key, old[key], node, {n["name"] for n in old.values()} | {n["name"] for n in new.values()}
            )
    return lines


def _pairs(before: Document, after: Document) -> tuple[dict[Any, Document], dict[Any, Document]]:
    """The nodes of both by a key that pairs them: the id where both have ids, the name otherwise."""
    by_id = all("id" in node for document in (before, after) for node in document["nodes"])
    key = "id" if by_id else "name"
    return {node[key]: node for node in before["nodes"]}, {node[key]: node for node in after["nodes"]}


def _node_differences(key: Any, old: Document, new: Document, names: set[str]) -> Iterator[Difference]:
    if old["name"] != new["name"]:
        yield Difference(f"renamed the node {old['name']} to {new['name']}", key)
    if old["type"] != new["type"]:
        yield Difference(f"{new['name']}: changed the type to {kinds.of(new['type']).label}", key)
    for name in kinds.of(new["type"]).fields:
        if old.get(name) != new[name]:
            yield Difference(f"{new['name']}: {_changed(name, old.get(name), new[name])}", key)
    for up in sorted(set(new["runs_after"]) - set(old["runs_after"])):
        yield Difference(f"linked {up} to {new['name']}", key, "link")
    for up in sorted(set(old["runs_after"]) - set(new["runs_after"])):
        yield Difference(f"removed the link from {up} to {new['name']}", key, "link")
    if new["at"] is not None and list(old["at"] or ()) != list(new["at"]):
        yield Difference(f"moved {new['name']}", key, "place")


def _changed(name: str, old: Any, new: Any) -> str:
    return f"{name.replace('_', ' ')}: {_said(old)} → {_said(new)}"


def _said(value: Any) -> str:
    if value in (None, "", [], {}):
        return "nothing"
    if isinstance(value, dict):
        return "; ".join(f"{kind}: {_listed(each)}" for kind, each in value.items())[:300]
    if isinstance(value, list):
        return ", ".join(
            f"{each['key']}={each['value']}" if isinstance(each, dict) and set(each) == {"key", "value"} else str(each)
            for each in value
        )[:300]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)[:300]


def _listed(policy: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in policy.items())
