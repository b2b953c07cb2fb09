"""Statements that run for every task, written as SQL: composing one with the ORM takes longer than answering it.

Values go through the fields of the models, so that they are stored as the ORM stores them. Names of tables and columns
come from the models, never from outside.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple, TypeVar

from django.db import connection
from django.db.models import Field, Model
from django.db.models.functions import Now
from django.db.models.sql import Query

Row = TypeVar("Row", bound=Model)


class Sql(NamedTuple):
    """A piece of SQL that stands for a value or a condition, and its parameters."""

    text: str
    parameters: tuple[Any, ...] = ()


@cache
def _now(model: type[Model], vendor: str, seconds: float) -> Sql:
    expression = Now() + timedelta(seconds=seconds) if seconds else Now()
    compiler = Query(model).get_compiler(connection=connection)
    text, parameters = compiler.compile(expression.resolve_expression(compiler.query))
    return Sql(text, tuple(parameters))


def now(model: type[Model], seconds: float = 0) -> Sql:
    """The database's time (UTC), or that so many seconds from now; for the columns of `model`."""
    return _now(model, connection.vendor, seconds)


@cache
def _field(model: type[Model], name: str) -> "Field[Any, Any]":
    field: Field[Any, Any] = model._meta.get_field(name)  # type: ignore[assignment]
    return field


def _value(model: type[Model], name: str, value: Any) -> Sql:
    if isinstance(value, Sql):
        return value
    return Sql("%s", (_field(model, name).get_db_prep_save(value, connection),))


def update(model: type[Model], values: Mapping[str, Any], *conditions: Sql, **equal: Any) -> int:
    """Set columns of the rows that meet all conditions; how many there were.

    In: `values` and `equal`, name of a field -> value, Sql, or in `equal` a list or tuple of values to choose from.
    """
    sets, where = [], []
    parameters: list[Any] = []
    for name, value in values.items():
        text, given = _value(model, name, value)
        sets.append(f"{_column(model, name)} = {text}")
        parameters += given
    for name, value in equal.items():
        if isinstance(value, list | tuple) and not isinstance(value, Sql):
            where.append(f"{_column(model, name)} IN ({', '.join(['%s'] * len(value))})")
            parameters += value
        elif value is None:
            where.append(f"{_column(model, name)} IS NULL")
        else:
            text, given = _value(model, name, value)
            where.append(f"{_column(model, name)} = {text}")
            parameters += given
    for text, given in conditions:
        where.append(text)
        parameters += given
    statement = f"UPDATE {model._meta.db_table} SET {', '.join(sets)} WHERE {' AND '.join(where)}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def insert(model: type[Model], **values: Any) -> None:
    """Insert one row; what is not given has its field's default."""
    columns, places = [], []
    parameters: list[Any] = []
    for name, column in _insertable(model):
        value = values[name] if name in values else _field(model, name).get_default()
        text, given = _value(model, name, value)
        columns.append(column)
        places.append(text)
        parameters += given
    statement = f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) VALUES ({', '.join(places)})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def fetch(model: type[Row], names: Sequence[str], pk: int) -> Row | None:
    """The row of this primary key with these fields alone (the others are read when somebody asks); None if gone."""
    columns, converters, attributes = _readable(model, tuple(names), connection.vendor)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table} WHERE id = %s", [pk])  # noqa: S608
        fetched = cursor.fetchone()
    if fetched is None:
        return None
    values = list(fetched)
    for place, convert in converters:
        values[place] = convert(values[place], None, connection)
    row: Row = model.from_db(connection.alias, attributes, values)
    return row


@cache
def _column(model: type[Model], name: str) -> str:
    column = _field(model, name).column
    assert column
    return connection.ops.quote_name(column)


@cache
def _insertable(model: type[Model]) -> list[tuple[str, str]]:
    return [(field.name, _column(model, field.name)) for field in model._meta.concrete_fields if not field.primary_key]


@cache
def _readable(model: type[Model], names: tuple[str, ...], vendor: str) -> tuple[str, list[tuple[int, Any]], list[str]]:
    """The columns of a SELECT; what has to be made of which value; and the attributes of the fields."""
    # from_db takes values in the order in which the model has its fields.
    fields = [field for field in model._meta.concrete_fields if field.primary_key or field.name in names]
    converters = [
        (place, convert)
        for place, field in enumerate(fields)
        for convert in (
            *connection.ops.get_db_converters(field.get_col(model._meta.db_table)),
            *field.get_db_converters(connection),
        )
    ]
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    return columns, converters, [field.attname for field in fields]
