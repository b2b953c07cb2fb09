"""The forms of a connection: its settings as its connector describes them, and how each table is loaded."""

import json
import re
from collections.abc import Mapping
from typing import Any

from django import forms

from nodes.connections.connectors.base import Connector
from nodes.connections.connectors.streams import MODES, POLICIES, collision, collision_said
from nodes.connections.services import problem_with_secrets, secrets_of
from nodes.fields.form import Field, fields_of
from nodes.models import Connection, Load

PREFIX = "c_"
PLAIN = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
_OPS = ("is not null", "is null", "not in", "in", "<=", ">=", "!=", "=", "<", ">", "like")
LONGEST_CONDITION = 2000  # characters


class ConnectionForm(forms.Form):
    """Name and place of a connection, and the settings of its connector; a secret is never sent to the browser."""

    name = forms.CharField(max_length=200)
    dataset = forms.CharField(
        max_length=200,
        label="Schema",
        widget=forms.TextInput(attrs=PLAIN),
        help_text="The warehouse schema for its tables. Models read them with source().",
    )
    description = forms.CharField(required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 2}))
    parallel = forms.IntegerField(
        label="Tables at the same time", min_value=1, max_value=32, help_text="DuckDB always loads one at a time."
    )

    def __init__(self, data: Any = None, *, connector: Connector, row: Connection) -> None:
        wrong = problem_with_secrets(row) if row.pk else ""
        kept = set(secrets_of(row)) if row.pk and row.sealed and not wrong else set()
        initial: dict[str, Any] = {"name": row.name, "dataset": row.dataset, "description": row.description}
        initial["parallel"] = row.parallel
        super().__init__(data, initial=initial)
        self.connector, self.row = connector, row
        self.described = fields_of(connector)
        for each in self.described:
            self.fields[f"{PREFIX}{each.name}"] = _field(each, each.name in kept, wrong)
            value = row.config.get(each.name, each.default)
            self.initial[f"{PREFIX}{each.name}"] = _shown(each, value)

    @property
    def typed(self) -> dict[str, Any]:
        """The settings as typed, by the connector's names."""
        values = {}
        for each in self.described:
            value = self.cleaned_data.get(f"{PREFIX}{each.name}")
            values[each.name] = ("true" if value else "false") if each.kind == "boolean" else value or ""
        return values

    def tell(self, errors: Mapping[str, str]) -> None:
        """Put errors beside their fields."""
        for name, message in errors.items():
            place = f"{PREFIX}{name}" if f"{PREFIX}{name}" in self.fields else name
            self.add_error(place if place in self.fields else None, message)

    def _parts(self, advanced: bool) -> list[tuple[forms.BoundField, Field]]:
        return [(self[f"{PREFIX}{each.name}"], each) for each in self.described if each.advanced is advanced]

    @property
    def main(self) -> list[tuple[forms.BoundField, Field]]:
        """The fields of the second step."""
        return self._parts(advanced=False)

    @property
    def advanced(self) -> list[tuple[forms.BoundField, Field]]:
        """Those that are folded away."""
        return self._parts(advanced=True)

    @property
    def advanced_has_errors(self) -> bool:
        """Whether they must be open for an error to be seen."""
        return any(field.errors for field, _ in self.advanced) or any(
            self[n].errors for n in ("parallel", "description")
        )


def _field(each: Field, is_kept: bool, wrong: str) -> forms.Field:
    help_text = each.help
    if each.secret and wrong:
        help_text = (
            f"{help_text} dex cannot read the stored value: {wrong}. Enter it again, or restore the keys.".strip()
        )
    elif each.secret:
        keep = " Leave empty to keep it." if is_kept else ""
        help_text = f"{help_text} Stored encrypted and never shown again.{keep}".strip()
    common: dict[str, Any] = {"label": each.label, "required": False, "help_text": help_text}
    match each.kind:
        case "boolean":
            return forms.BooleanField(**common)
        case "choice":
            return forms.ChoiceField(
                choices=[("", "Choose"), *((value, each.words.get(value, value)) for value in each.choices)], **common
            )
        case "secret":
            return forms.CharField(strip=False, widget=forms.PasswordInput(attrs=PLAIN), **common)
        case "list" | "textarea" | "json":
            rows = {"list": 3, "textarea": 4, "json": 6}[each.kind]
            widget = forms.Textarea(attrs={**PLAIN, "rows": rows, "class": "mono" if each.kind == "json" else ""})
            return forms.CharField(strip=False, widget=widget, **common)
        case _:
            return forms.CharField(widget=forms.TextInput(attrs=PLAIN), **common)


def _shown(each: Field, value: Any) -> Any:
    """A kept value as it stands in the form; a secret never does."""
    if each.secret and not (isinstance(value, str) and "{{" in value):
        return ""
    if value is None:
        return ""
    if each.kind == "list" and isinstance(value, list):
        return "\n".join(map(str, value))
    if each.kind == "json" and not isinstance(value, str):
        return json.dumps(value, indent=2, ensure_ascii=False)
    return value


# --- tables -----------------------------------------------------------------------------------------------------
class Table:
    """One table on the page of tables: what the source says of it, what was chosen, what is wrong."""

    def __init__(
        self, name: str, offered: Mapping[str, Any], chosen: Mapping[str, Any] | None, *, listed: bool
    ) -> None:
        self.name, self.offered, self.is_chosen, self.listed = name, offered, chosen is not None, listed
        values = chosen or {}
        self.mode = values.get("mode", "replace")
        self.primary_key = ", ".join(values.get("primary_key") or offered.get("primary_key") or ())
        self.cursor = values.get("cursor") or ""
        self.look_back = str(values.get("look_back") or "").removesuffix(".0")
        self.policy = values.get("schema_policy", "evolve")
        self.columns = ", ".join(values.get("columns") or ())
        self.types = "\n".join(f"{column} = {kind}" for column, kind in (values.get("types") or {}).items())
        self.rename = "\n".join(f"{old} = {new}" for old, new in (values.get("rename") or {}).items())
        self.row_filter = "\n".join(map(_as_text, values.get("row_filter") or ()))
        self.errors: dict[str, str] = {}
        self.load: Load | None = None  # the latest, where that is known

    @property
    def is_gone(self) -> bool:
        """Whether the source had it once and has it no more."""
        return self.listed and self.is_chosen and not self.offered

    @property
    def collision(self) -> str:
        """What is wrong with the names of its columns as it is chosen now; empty where nothing is known to be."""
        renamed = dict(line.split(" = ", 1) for line in self.rename.splitlines() if " = " in line)
        wanted = _words(self.columns)
        names = [column["name"] for column in self.offered.get("columns", ()) if not wanted or column["name"] in wanted]
        both = collision([renamed.get(name, name) for name in names])
        return collision_said(self.name, both) if both else ""

    @property
    def candidates(self) -> list[str]:
        """Columns that could be a cursor, those that the source suggests first."""
        suggested = list(self.offered.get("cursor_candidates", ()))
        return suggested + [c["name"] for c in self.offered.get("columns", ()) if c["name"] not in suggested]


def tables_of(connection: Connection) -> list[Table]:
    """What the source offered, and what was chosen of it, by name."""
    offered = {stream["name"]: stream for stream in connection.offered}
    names = sorted({*offered, *connection.streams}, key=str.lower)
    chosen = {name: connection.settings.get(name, {}) for name in connection.streams}
    return [Table(name, offered.get(name, {}), chosen.get(name), listed=bool(offered)) for name in names]


def chosen_tables(data: Any, count: int) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Table -> settings from the page of tables, and what cannot be read, by "table.field"."""
    tables: dict[str, dict[str, Any]] = {}
    errors: dict[str, str] = {}
    for number in range(count):
        name = data.get(f"name_{number}", "")
        if not name or f"on_{number}" not in data:
            continue
        mode = data.get(f"mode_{number}", "replace")
        row: dict[str, Any] = {"mode": mode, "schema_policy": data.get(f"policy_{number}", "evolve")}
        row["primary_key"] = _words(data.get(f"key_{number}", "")) if mode == "merge" else []
        row["cursor"] = data.get(f"cursor_{number}", "").strip() if mode in ("incremental", "merge") else ""
        row["look_back"] = (data.get(f"look_back_{number}", "").strip() if row["cursor"] else "") or 0
        row["columns"] = _words(data.get(f"columns_{number}", "")) or None
        for field in ("rename", "types"):
            try:
                row[field] = _pairs(data.get(f"{field}_{number}", ""))
            except ValueError as error:
                errors[f"{name}.{field}"] = str(error)
        try:
            row["row_filter"] = [
                _condition(line) for line in data.get(f"filter_{number}", "").splitlines() if line.strip()
            ]
        except ValueError as error:
            errors[f"{name}.row_filter"] = str(error)
        tables[name] = row
    return tables, errors


def _pairs(text: str) -> dict[str, str]:
    """Column -> what is chosen for it, of lines `column = choice`. Raises ValueError naming the line."""
    pairs = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        column, mark, chosen = (each.strip() for each in line.rpartition("="))
        if not (column and mark and chosen):
            raise ValueError(f"{line[:80]}: write the column, = and the new value, one per line.")
        pairs[column] = chosen
    return pairs


def _words(text: str) -> list[str]:
    return [word.strip() for word in re.split(r"[,\n]", text) if word.strip()]


def _condition(line: str) -> dict[str, Any]:
    column, op, value = _split_condition(line.strip())
    if op in ("is null", "is not null"):
        return {"column": column, "op": op}
    if op in ("in", "not in"):
        return {"column": column, "op": op, "value": [_value(word) for word in _words(value)]}
    return {"column": column, "op": op, "value": _value(value) if value else None}


def _split_condition(text: str) -> tuple[str, str, str]:
    """Column, operator and value of a condition: the first operator that stands between blanks divides it."""
    if len(text) > LONGEST_CONDITION:
        raise ValueError(f"A condition can have at most {LONGEST_CONDITION:,} characters: {text[:80]}…")
    lowered = text.lower()
    for gap in re.finditer(r"\s+", text):
        for op in _OPS:
            end = gap.end() + len(op)
            if lowered.startswith(op, gap.end()) and (end == len(text) or text[end].isspace()):
                return text[: gap.start()], op, text[end:].strip()
    raise ValueError(f"{text[:80]} is not a condition; write a column, one of {', '.join(_OPS)}, and a value.")


def _value(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if re.fullmatch(r"-?\d+\.\d+", text):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def _as_text(condition: Mapping[str, Any]) -> str:
    value = condition.get("value")
    if value is None:
        return f"{condition['column']} {condition['op']}"
    text = ", ".join(map(_quoted, value)) if isinstance(value, list) else _quoted(value)
    return f"{condition['column']} {condition['op']} {text}"


def _quoted(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) and _value(value) != value else str(value)


CHOICES = {"modes": list(MODES.items()), "policies": list(POLICIES.items())}
