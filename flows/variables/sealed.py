"""Encrypted columns. One is declared as a SealedField, and is then known to everything that has to know all of them.

Changing the keys, counting before that, the check at the start and the guard of the file of keys walk over the models:
there is no list that a new column could be missing from.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.apps import apps
from django.db import models
from django.utils import timezone

from flows.access import require
from flows.variables.encryption import Unreadable, is_current, seal, unseal

log = logging.getLogger("dex.variables")
BATCH = 500
Binding = Callable[[Any], Mapping[str, object]]


class SealedField(models.TextField):
    """A column of encrypted values; empty where there is none. The value in the clear never stands in the row.

    In: `binding`, what names the place that a row's value belongs to, so that no token is of use elsewhere;
    `rotated_at`, the column that notes when a value was last encrypted with another key.
    """

    def __init__(self, *args: Any, binding: Binding | None = None, rotated_at: str = "", **kwargs: Any) -> None:
        self.binding, self.rotated_at = binding, rotated_at
        super().__init__(*args, **{"blank": True, "editable": False, **kwargs})

    def deconstruct(self) -> Any:
        """As the text that it is in the database: migrations need no keys."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def bound_to(self, row: models.Model) -> Mapping[str, object]:
        """What a value of this row is bound to: what was declared, or the table, the row and the column."""
        return self.binding(row) if self.binding else {"table": row._meta.db_table, "row": row.pk, "field": self.name}


def sealed_columns() -> Iterator[tuple[type[models.Model], SealedField]]:
    """Every encrypted column of every table."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, SealedField):
                yield model, field


def is_anything_sealed() -> bool:
    """Whether there are values that the keys of this installation are needed for."""
    return any(_kept(model, field).exists() for model, field in sealed_columns())


def keep(row: models.Model, column: str, value: str) -> None:
    """Encrypt a value into a column of a row that has an id; an empty one forgets it. The row is not saved.

    Raises Unreadable where the keys are broken, or gone while any column needs them.
    """
    setattr(row, column, seal(_field(row, column).bound_to(row), value, needed=is_anything_sealed) if value else "")


def value_of(row: models.Model, column: str) -> str:
    """The value in the clear; empty where there is none. Raises Unreadable."""
    token = getattr(row, column)
    return unseal(_field(row, column).bound_to(row), token) if token else ""


def problem_of(row: models.Model, column: str) -> str:
    """Why a value cannot be read; empty for one that can, and where there is none."""
    try:
        value_of(row, column)
    except Unreadable as error:
        return str(error)
    return ""


def unreadable() -> Iterator[tuple[models.Model, SealedField]]:
    """Every row and column whose value cannot be read."""
    for model, field in sealed_columns():
        for row in _kept(model, field).iterator(BATCH):
            if problem_of(row, field.name):
                yield row, field


def rotate(*, dry_run: bool = False) -> dict[str, int]:
    """Encrypt every value of every column with the first key of the file, in batches; what is so already is left alone.

    Out: how many there are, were rotated (or would be), and cannot be read. Safe to kill and to repeat. Raises
    PermissionDenied.
    """
    require("flows.change_variable")
    counts = {"secrets": 0, "rotated": 0, "unreadable": 0}
    for model, field in sealed_columns():
        last = 0
        while batch := list(_kept(model, field).filter(pk__gt=last).order_by("pk")[:BATCH]):
            last = batch[-1].pk
            for row in batch:
                counts["secrets"] += 1
                if outcome := _rotate_one(row, field, dry_run=dry_run):
                    counts[outcome] += 1
    return counts


def _rotate_one(row: models.Model, field: SealedField, *, dry_run: bool) -> str:
    """What became of a value: "rotated", "unreadable", or nothing where it has the first key already."""
    token = getattr(row, field.name)
    if is_current(token):
        return ""
    try:
        binding = field.bound_to(row)
        fresh = seal(binding, unseal(binding, token), needed=is_anything_sealed)
    except Unreadable as error:
        log.warning("%s of %s %s: %s", field.name, row._meta.verbose_name, row, error)
        return "unreadable"
    if not dry_run:  # one that was typed anew meanwhile has the newer token, and keeps it
        changes: dict[str, Any] = {field.name: fresh}
        if field.rotated_at:
            changes[field.rotated_at] = timezone.now()
        type(row)._base_manager.filter(**{"pk": row.pk, field.name: token}).update(**changes)
    return "rotated"


def _kept(model: type[models.Model], field: SealedField) -> models.QuerySet[Any]:
    return model._base_manager.exclude(**{field.name: ""})


def _field(row: models.Model, column: str) -> SealedField:
    field = row._meta.get_field(column)
    if not isinstance(field, SealedField):
        raise TypeError(f"{column} of {row._meta.label} is not declared as a SealedField")
    return field
