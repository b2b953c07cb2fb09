"""What a project needs to reach its repository, encrypted like secrets: a token, a private key, a key for pushes."""

import secrets
from typing import Literal

from django.db import transaction

from flows.access import require
from flows.models import Project, Variable
from flows.variables.encryption import Unreadable, is_current, seal, unseal

Field = Literal["token", "private_key", "push_secret"]
FIELDS: tuple[Field, ...] = ("token", "private_key", "push_secret")


def keep(project: Project, field: Field, value: str) -> None:
    """Encrypt a value into a field of a project that has an id; an empty one forgets it. Raises Unreadable."""
    require("flows.change_project" if project.pk else "flows.add_project")
    setattr(project, field, seal(_binding(project, field), value, needed=_is_needed) if value else "")
    project.save(update_fields=[field])


def value_of(project: Project, field: Field) -> str:
    """The value in the clear; empty where there is none. Raises Unreadable."""
    token = getattr(project, field)
    return unseal(_binding(project, field), token) if token else ""


def all_of(project: Project) -> list[str]:
    """What must not reach a log; what cannot be read, nobody can print."""
    found = []
    for field in FIELDS:
        try:
            found.append(value_of(project, field))
        except Unreadable:
            continue
    return [value for value in found if value]


def new_push_secret(project: Project) -> str:
    """A fresh key with which the host of the repository signs its messages about pushes; shown this once."""
    made = secrets.token_urlsafe(32)
    keep(project, "push_secret", made)
    return made


def rotate(*, dry_run: bool = False) -> dict[str, int]:
    """Encrypt everything with the first key of the file; see flows.variables.values.rotate."""
    made = {"secrets": 0, "rotated": 0, "unreadable": 0}
    for project in Project.objects.order_by("pk"):
        for field in FIELDS:
            token = getattr(project, field)
            if not token:
                continue
            made["secrets"] += 1
            if is_current(token):
                continue
            try:
                fresh = seal(_binding(project, field), value_of(project, field), needed=_is_needed)
            except Unreadable:
                made["unreadable"] += 1
                continue
            made["rotated"] += 1
            if not dry_run:
                with transaction.atomic():
                    rows = Project.objects.filter(**{"pk": project.pk, str(field): token})
                    rows.update(**{str(field): fresh})
    return made


def _binding(project: Project, field: Field) -> dict[str, object]:
    return {"project": project.pk, "field": field}


def _is_needed() -> bool:
    sealed = Project.objects.exclude(token="", private_key="", push_secret="")
    return sealed.exists() or Variable.objects.exclude(token="").exists()
