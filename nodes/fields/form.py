"""A form described as data, made from a model of settings, and the way back from what was typed."""

import json
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from nodes.fields.settings import Config, Described, Misfit

Kind = Literal["text", "secret", "integer", "boolean", "choice", "list", "textarea", "json"]
REFERENCE = re.compile(r"\{\{\s*[A-Za-z_][A-Za-z0-9_.]*\s*\}\}")  # {{ NAME }} and {{ params.NAME }}
_TRUE, _FALSE = ("true", "on", "yes", "1"), ("false", "off", "no", "0", "")


@dataclass(frozen=True)
class Field:
    """One field of a form."""

    name: str
    label: str
    help: str
    kind: Kind
    required: bool
    default: Any = None
    choices: tuple[str, ...] = ()
    secret: bool = False  # never shown again, whatever its kind
    advanced: bool = False
    when: Mapping[str, list[str]] = field(default_factory=dict)  # shown only while other fields have these values
    words: Mapping[str, str] = field(default_factory=dict)  # what people read for a choice
    needed: bool = False  # required while it is shown
    example: str = ""  # stands in the empty field

    def is_shown(self, values: Mapping[str, Any]) -> bool:
        """Whether it is shown while the other fields have these values."""
        return all(str(values.get(name)) in wanted for name, wanted in self.when.items())


@cache
def fields_of(about: type[Described] | Described) -> tuple[Field, ...]:
    """The fields of a form, in order."""
    return tuple(_field(info.alias or name, info) for name, info in about.Config.model_fields.items())


def secret_names(about: Described) -> list[str]:
    """The fields whose values must be kept encrypted, masked and never shown."""
    return [each.name for each in fields_of(about) if each.secret]


def references(raw: Mapping[str, Any]) -> list[str]:
    """The fields that still hold `{{ NAME }}`: their types are checked after rendering."""
    return [name for name, value in raw.items() if _holds(value)]


def parse(about: Described, raw: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Values to keep, as JSON, or errors by field in words.

    In: `raw`, text as typed in a form, or values of JSON. A field with a reference is kept as it is.
    """
    known = {each.name: each for each in fields_of(about)}
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, value in raw.items():
        if name not in known:
            errors[name] = f"{about.title} has no setting {name}."
            continue
        try:
            cleaned = _cleaned(known[name], value)
        except ValueError as error:
            errors[name] = str(error)
            continue
        if cleaned is not None:
            values[name] = cleaned
    waiting = set(references(values))
    try:
        about.Config.model_validate(values)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            name = _name_of(each)
            if name not in waiting:
                errors.setdefault(name, _said(each, known.get(name)))
    return (None, errors) if errors else (values, {})


def check(about: Described, rendered: Mapping[str, Any]) -> tuple[Config | None, dict[str, str]]:
    """The typed settings from values without references, or errors by field. Values are never in an error."""
    try:
        return about.Config.model_validate(dict(rendered)), {}
    except ValidationError as error:
        known = {each.name: each for each in fields_of(about)}
        errors: dict[str, str] = {}
        for each in error.errors(include_url=False, include_input=False):
            errors.setdefault(_name_of(each), _said(each, known.get(_name_of(each))))
        return None, errors


def secret_values(about: Described, rendered: Mapping[str, Any]) -> list[str]:
    """The secrets among rendered values, for a masker: also what lies inside a JSON secret."""
    found: list[str] = []
    for name in secret_names(about):
        found += _texts(rendered.get(name))
    return [text for text in found if len(text) >= 4]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        try:
            inner = json.loads(value) if value.lstrip().startswith("{") else None
        except ValueError:
            inner = None
        return [value, *(str(inner[key]) for key in ("private_key", "private_key_id") if inner and key in inner)]
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return []


def _holds(value: Any) -> bool:
    if isinstance(value, str):
        return bool(REFERENCE.search(value))
    if isinstance(value, Mapping):
        return any(map(_holds, value.values()))
    return isinstance(value, list) and any(map(_holds, value))


def _cleaned(known: Field, value: Any) -> Any:
    """What was typed, as JSON; None when nothing was. Raises ValueError with a sentence."""
    if not isinstance(value, str):
        return value
    text = value if known.kind in ("secret", "textarea") else value.strip()
    if not text.strip():
        return None
    if _holds(text) and known.kind != "list":
        return text if known.kind != "json" else _json(text)
    if known.kind == "integer":
        if not re.fullmatch(r"[+-]?\d{1,30}", text):
            raise ValueError("This must be a whole number.")
        return int(text)
    if known.kind == "boolean":
        if text.lower() not in (*_TRUE, *_FALSE):
            raise ValueError("This must be yes or no.")
        return text.lower() in _TRUE
    if known.kind == "list":
        return [line.strip() for line in re.split(r"[\n,]", text) if line.strip()]
    return _json(text) if known.kind == "json" else text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        if REFERENCE.fullmatch(text.strip()):
            return text.strip()
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"This is not JSON{place}.") from error


def _field(name: str, info: FieldInfo) -> Field:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    kind, choices = _kind(info.annotation)
    if extra.get("secret") and kind == "text":
        kind = "textarea" if extra.get("textarea") else "secret"
    elif extra.get("textarea") and kind == "text":
        kind = "textarea"
    default = None if info.default is PydanticUndefined else info.default
    if info.default_factory is not None:
        default = info.get_default(call_default_factory=True, validated_data={})
    when, words = extra.get("when"), extra.get("words")
    return Field(
        name=name,
        label=info.title or name,
        help=info.description or "",
        kind=kind,
        required=info.is_required(),
        default=default,
        choices=choices,
        secret=bool(extra.get("secret")),
        advanced=bool(extra.get("advanced")),
        when=typing.cast("dict[str, list[str]]", when) if isinstance(when, dict) else {},
        words=typing.cast("dict[str, str]", words) if isinstance(words, dict) else {},
        needed=bool(extra.get("needed")),
        example=str(extra.get("example") or ""),
    )


def _kind(annotation: Any) -> tuple[Kind, tuple[str, ...]]:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return _kind(next(each for each in inner if each is not type(None)))
    if origin is Literal:
        return "choice", tuple(map(str, inner))
    if annotation is bool:
        return "boolean", ()
    if annotation is int:
        return "integer", ()
    if origin is list:
        return ("list", ()) if inner[:1] == (str,) else ("json", ())
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "json", ()
    return "text", ()


def _name_of(error: Any) -> str:
    """The field an error is about: its place, or what a Misfit names."""
    misfit = error.get("ctx", {}).get("error")
    return misfit.field if isinstance(misfit, Misfit) else str(error["loc"][0]) if error["loc"] else "__all__"


def _said(error: Any, known: Field | None) -> str:
    """One error of pydantic in words."""
    place = " ".join(f"{part + 1}" if isinstance(part, int) else str(part) for part in error["loc"][1:])
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            text = f"{place or (known.label if known else 'This')} is required."
            return f"{text[0].upper()}{text[1:]}"
        case "extra_forbidden":
            return f"There is no setting {place or error['loc'][0]}."
        case "literal_error":
            text = f"choose {context.get('expected', 'one of the choices')}."
        case "int_parsing" | "int_type":
            text = "this must be a whole number."
        case "greater_than_equal":
            text = f"this must be at least {context['ge']}."
        case "less_than_equal":
            text = f"this must be at most {context['le']}."
        case "string_too_short":
            text = "this must not be empty."
        case "value_error" if isinstance(context.get("error"), Misfit):
            return str(context["error"])
        case "value_error":
            text = str(context.get("error", error["msg"]))
        case _:
            text = f"{error['msg']}."
    text = f"{place}: {text}" if place else text
    return f"{text[0].upper()}{text[1:]}"
