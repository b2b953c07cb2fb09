"""From the settings of a warehouse, as they are typed and kept, to a target in profiles.yml.

Settings are kept as JSON: {"type": ..., and each setting that has a value}. A text may hold {{ NAME }}.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.variables.references import ReferenceProblem, fill, references_in
from nodes.dbt.warehouses.base import Given, Misfit, Warehouse
from nodes.dbt.warehouses.registry import WAREHOUSES
from nodes.fields.form import Field, check, fields_of, parse


class WarehouseError(ValueError):
    """The warehouse of an environment cannot be used as it is described; the message says why."""


@dataclass(frozen=True)
class Rendered:
    """A target in profiles.yml, and the variables that dbt needs to read it."""

    output: Mapping[str, Any]
    passed: Mapping[str, str] = field(repr=False, default_factory=dict)


def accept(kind: str, typed: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings to keep, and what is wrong by setting ("type" for the kind itself).

    In: `typed`, texts of a form or values of JSON. What the chosen way to log in does not use is left out.
    """
    warehouse = WAREHOUSES.get(kind)
    if warehouse is None:
        wrong = f"{kind or 'Nothing'} is not a supported warehouse type; use profiles.yml of the project."
        return {}, {"type": wrong}
    shown = _shown(warehouse, typed)
    values, errors = parse(warehouse, {each.name: typed.get(each.name, "") for each in shown})
    for each in shown:
        text = str(typed.get(each.name) or "").strip()
        if each.needed and not text:
            errors.setdefault(each.name, f"{each.label} is required.")
        elif each.secret and text and not references_in(text):
            example = each.example or "{{ WAREHOUSE_PASSWORD }}"
            errors[each.name] = f"Add it as a secret on the Variables page and refer to it here: {example}."
    kept = {}
    for each in shown:
        value = (values or {}).get(each.name, None if each.advanced else each.default)
        if value not in (None, "") and not (each.advanced and value == each.default):
            kept[each.name] = value
    return {"type": kind, **kept}, errors


def render(kept: Mapping[str, Any], values: Mapping[str, str], secrets: Collection[str]) -> Rendered:
    """The target of the settings that are kept.

    In: `values`, the variables of the environment by name; `secrets`, which of them are secret. Raises WarehouseError.
    """
    given = _given(kept, values, secrets)
    warehouse = WAREHOUSES[str(kept["type"])]
    try:
        output = warehouse.output(given)
    except Misfit as error:
        raise _problem(warehouse, error.field, str(error)) from error
    return Rendered({"type": warehouse.type, **output}, given.passed)


def render_plain(kept: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The settings with their references filled in, secrets too, and defaults. Raises WarehouseError."""
    return dict(_given(kept, values, ()).values)


def _given(kept: Mapping[str, Any], values: Mapping[str, str], secrets: Collection[str]) -> Given:
    warehouse = WAREHOUSES.get(str(kept.get("type")))
    if warehouse is None:
        raise WarehouseError(f"dex knows no warehouse of the type {kept.get('type')}. Choose one at the environment.")
    stored = {name: value for name, value in kept.items() if name != "type"}
    shown = {each.name: each for each in _shown(warehouse, stored)}
    filled, hidden = {}, set()
    for name in [name for name in stored if name in shown]:
        try:
            filled[name] = _filled(stored[name], lambda text: fill(text, values, {}))
        except ReferenceProblem as error:
            raise _problem(warehouse, name, str(error)) from error
        if shown[name].secret or any(found.name in secrets for found in references_in(stored[name])):
            if shown[name].kind not in ("text", "secret"):
                raise _problem(warehouse, name, "This setting cannot be a secret. Use a variable that is not secret.")
            hidden.add(name)
    config, errors = check(warehouse, filled)
    if config is None:
        raise _problem(warehouse, *next(iter(errors.items())))
    all_values = {n: v for n, v in config.model_dump(by_alias=True).items() if n in shown and v not in (None, "")}
    return Given(all_values, hidden)


def _shown(warehouse: Warehouse, values: Mapping[str, Any]) -> list[Field]:
    """The settings that count, given the others: those of the chosen way to log in, and all that go with every way."""
    described = fields_of(warehouse)
    chosen = {each.name: values.get(each.name) or each.default for each in described}
    return [each for each in described if each.is_shown(chosen)]


def _filled(value: Any, filler: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return filler(value)
    if isinstance(value, Mapping):
        return {key: _filled(each, filler) for key, each in value.items()}
    return value


def _problem(warehouse: Warehouse, name: str, message: str) -> WarehouseError:
    labels = {each.name: each.label for each in fields_of(warehouse)}
    return WarehouseError(f"Warehouse, {labels.get(name, name)}: {message}")
