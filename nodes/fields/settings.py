"""What models of settings are made of: their base, the marks of a field, and what does not fit together."""

from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict
from pydantic import Field as _Field


class Config(BaseModel):
    """Settings that people type. Each field becomes a field of a form."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True)


class Described(Protocol):
    """What has settings: a connector, a warehouse."""

    title: ClassVar[str]
    Config: ClassVar[type[Config]]

    def __hash__(self) -> int: ...


class Misfit(ValueError):
    """Settings that do not fit together; `field` is the one to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def setting(
    default: Any = ...,
    *,
    title: str,
    help: str = "",
    secret: bool = False,
    advanced: bool = False,
    textarea: bool = False,
    needed: bool = False,
    example: str = "",
    when: dict[str, list[str]] | None = None,
    words: dict[str, str] | None = None,
    **constraints: Any,
) -> Any:
    """A field of a Config.

    In: `secret`, never shown again and masked everywhere; `advanced`, folded away; `when`, shown only while another
    field has one of these values; `needed`, required while it is shown; `example`, stands in the empty field; `words`,
    what people read for a value to choose (default: itself); `constraints`, those of pydantic.Field (`alias`: the name
    under which it is kept and shown).
    """
    marks = {"secret": secret, "advanced": advanced, "textarea": textarea, "needed": needed, "example": example}
    extra: dict[str, Any] = {name: value for name, value in {**marks, "when": when, "words": words}.items() if value}
    return _Field(default, title=title, description=help or None, json_schema_extra=extra or None, **constraints)
