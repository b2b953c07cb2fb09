"""What changed in the columns of a stream between the warehouse and the source: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Column = Mapping[str, Any]  # as dlt describes it: data_type, precision, scale
_WIDER = {
    "bigint": ("decimal", "double", "text"),
    "decimal": ("text",),
    "double": ("text",),
    "bool": ("text",),
    "date": ("timestamp", "text"),
    "timestamp": ("text",),
    "time": ("text",),
    "wei": ("text",),
    "json": ("text",),
    "text": (),
    "binary": (),
}
_DIGITS_OF_BIGINT = 19


@dataclass
class Changes:
    """Names that came and went, and columns whose type is another one."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[dict[str, str]] = field(default_factory=list)  # {"name", "was", "is"}

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def event(self) -> dict[str, Any]:
        """It as JSON."""
        return {"added": self.added, "removed": self.removed, "changed": self.changed}

    def sentence(self) -> str:
        """It in words."""
        parts = []
        if self.added:
            parts.append(f"new: {', '.join(self.added)}")
        if self.removed:
            parts.append(f"gone: {', '.join(self.removed)}")
        if self.changed:
            parts.append(
                "changed: " + ", ".join(f"{each['name']} from {each['was']} to {each['is']}" for each in self.changed)
            )
        return "; ".join(parts)


def compare(before: Mapping[str, Column], now: Mapping[str, Column], *, prefix: str = "") -> Changes:
    """What is new or different in the columns that were just read, beside those of the warehouse.

    In: `prefix`, of a nested table. dlt's own columns are left out; its variants (`amount__v_text`) are changed types.
    """
    changes = Changes()
    for name, column in now.items():
        if name.startswith("_dlt") or "data_type" not in column:
            continue
        stem, _, variant = name.partition("__v_")
        if name not in before and variant and stem in before:
            changes.changed.append({"name": prefix + stem, "was": shown(before[stem]), "is": variant})
        elif name not in before:
            changes.added.append(prefix + name)
        elif not fits(column, before[name]):
            changes.changed.append({"name": prefix + name, "was": shown(before[name]), "is": shown(column)})
    return changes


def shown(column: Column) -> str:
    """A type as a person reads it."""
    kind = str(column.get("data_type", "unknown"))
    if kind == "decimal" and column.get("precision"):
        return f"decimal({column['precision']},{column.get('scale') or 0})"
    return kind


def fits(new: Column, old: Column) -> bool:
    """Whether values of `new` can go into a column of `old` as it is."""
    ours, theirs = new.get("data_type"), old.get("data_type")
    if ours != theirs:
        return {ours, theirs} in ({"text", "json"}, {"decimal", "wei"})
    return ours != "decimal" or _holds(old, new)


def widened(old: Column, new: Column) -> Column | None:
    """The type that a column of `old` must get so that it also holds `new`; None where only text would do."""
    ours, theirs = str(old.get("data_type")), str(new.get("data_type"))
    if ours == theirs == "decimal":
        whole = max(_whole(old), _whole(new))
        scale = max(int(old.get("scale") or 0), int(new.get("scale") or 0))
        return {"data_type": "decimal", "precision": min(whole + scale, 38), "scale": scale}
    if theirs not in _WIDER.get(ours, ()):
        return None
    if theirs == "decimal":
        scale = int(new.get("scale") or 0)
        return {
            "data_type": "decimal",
            "precision": min(max(_whole(new), _DIGITS_OF_BIGINT) + scale, 38),
            "scale": scale,
        }
    return new


def narrower(new: Column, old: Column) -> bool:
    """Whether a column of `old` can hold every value of `new` once it is converted."""
    ours, theirs = str(new.get("data_type")), str(old.get("data_type"))
    if theirs == "decimal" and ours == "bigint":
        return _whole(old) >= _DIGITS_OF_BIGINT
    if theirs == "double" and ours == "decimal":
        return True
    return theirs in _WIDER.get(ours, ())


def _whole(column: Column) -> int:
    """Digits before the point; a decimal without precision has dlt's 38 with 9 after it."""
    precision = column.get("precision")
    return int(precision) - int(column.get("scale") or 0) if precision else 29


def _holds(old: Column, new: Column) -> bool:
    if not old.get("precision") or not new.get("precision"):
        return True
    return _whole(old) >= _whole(new) and int(old.get("scale") or 0) >= int(new.get("scale") or 0)
