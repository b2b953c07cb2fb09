"""What a project needs to reach its repository, encrypted like secrets: a token, a private key, a key for pushes."""

import secrets
from typing import Literal

from flows.access import require
from flows.models import Project
from flows.variables import sealed
from flows.variables.encryption import Unreadable

Field = Literal["token", "private_key", "push_secret"]
FIELDS: tuple[Field, ...] = ("token", "private_key", "push_secret")


def keep(project: Project, field: Field, value: str) -> None:
    """Encrypt a value into a field of a project that has an id; an empty one forgets it. Raises Unreadable."""
    require("flows.change_project" if project.pk else "flows.add_project")
    sealed.keep(project, field, value)
    project.save(update_fields=[field])


def value_of(project: Project, field: Field) -> str:
    """The value in the clear; empty where there is none. Raises Unreadable."""
    return sealed.value_of(project, field)


def all_of(project: Project) -> list[str]:
    """What must not reach a log; what cannot be read, nobody can print."""
    values = []
    for field in FIELDS:
        try:
            values.append(value_of(project, field))
        except Unreadable:
            continue
    return [value for value in values if value]


def new_push_secret(project: Project) -> str:
    """A fresh key with which the host of the repository signs its messages about pushes; shown this once."""
    secret = secrets.token_urlsafe(32)
    keep(project, "push_secret", secret)
    return secret
