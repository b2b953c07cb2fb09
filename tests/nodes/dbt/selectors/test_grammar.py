"""A value is read once: what it means, and what is said about one that means nothing."""

from __future__ import annotations

import pytest

from nodes.dbt.selectors import ALL, LIMITS, Atom, SelectorError, parse, split_values

READ = [
    ("orders", Atom("orders", "fqn", (), "orders")),
    ("tag:finance", Atom("tag:finance", "tag", (), "finance", explicit=True)),
    ("+tag:finance+", Atom("+tag:finance+", "tag", (), "finance", up=ALL, down=ALL, explicit=True)),
    ("2+orders+1", Atom("2+orders+1", "fqn", (), "orders", up=2, down=1)),
    ("0+orders", Atom("0+orders", "fqn", (), "orders", up=0)),
    ("@orders", Atom("@orders", "fqn", (), "orders", at=True)),
    ("@3+orders", Atom("@3+orders", "fqn", (), "orders", up=3, at=True)),
    ("models/marts", Atom("models/marts", "path", (), "models/marts")),
    ("Orders.SQL", Atom("Orders.SQL", "file", (), "Orders.SQL")),
    ("seeds.csv", Atom("seeds.csv", "file", (), "seeds.csv")),
    (
        "config.meta.owner:ann",
        Atom("config.meta.owner:ann", "config", ("meta", "owner"), "ann", explicit=True),
    ),
    ("tag:a:b", Atom("tag:a:b", "tag", (), "a:b", explicit=True)),
]


@pytest.mark.parametrize(("text", "atom"), READ, ids=[text for text, _ in READ])
def test_a_value_is_read_as_dbt_reads_it(text: str, atom: Atom) -> None:
    selector = parse(text)
    assert selector.terms == ((atom,),)
    assert (selector.method, selector.value, selector.up, selector.down, selector.at) == (
        atom.method,
        atom.value,
        atom.up,
        atom.down,
        atom.at,
    )
    assert selector.dbt == text


@pytest.mark.parametrize("text", ["tag:a & +tag:b", "tag:a&+tag:b", " tag:a  &   +tag:b "])
def test_an_ampersand_is_and_with_or_without_spaces(text: str) -> None:
    selector = parse(text)
    assert selector.dbt == "tag:a,+tag:b"
    assert [atom.text for atom in selector.terms[0][1:]] == ["+tag:b"]


@pytest.mark.parametrize("text", ["tag:a,+tag:b", "tag:a,+tag:b,x", "orders tag:a,tag:b people", "tag:a,config.x:y"])
def test_a_comma_is_and_as_in_dbt(text: str) -> None:
    assert parse(text).dbt == text


def test_a_space_is_or_and_binds_weaker_than_and() -> None:
    assert parse("orders tag:a & tag:b  people").dbt == "orders tag:a,tag:b people"


@pytest.mark.parametrize(
    ("pasted", "values"),
    [
        ("a\n\n b ", ["a", "b"]),
        ("a,b\n c\r\nd", ["a,b", "c", "d"]),
        ("tag:a & tag:b", ["tag:a & tag:b"]),
        (" \n \n", []),
    ],
)
def test_the_lines_of_a_field_are_values_and_a_comma_is_part_of_one(pasted: str, values: list[str]) -> None:
    assert split_values(pasted) == values


# the value; a piece of the message; a piece of the hint; whether dbt stops at it
REFUSED = [
    ("", "empty", "", False),
    ("   ", "empty", "", False),
    ("tga:finance", "'tga' is not a method", "tag:finance", True),
    ("Tag:finance", "'Tag' is not a method", "tag:finance", True),
    ("model:orders", "not a method", "needs no method: orders", True),
    ("name:orders", "not a method", "needs no method: orders", True),
    ("owner:ann", "not a method", "config.meta.owner:ann", True),
    ("banana:x", "not a method", "fqn, tag, path", True),
    (".tag:x", "not a method", "", True),
    ("my-tag:x", "not a method", "tag:finance", False),
    ("@orders+", "cannot be combined", "@orders", True),
    ("+@orders", '"@" comes before "+"', "@+orders", False),
    ("++orders", "not an operator", "2+name", False),
    ("orders++", "not an operator", "", False),
    ("-1+orders", "not an operator", "", False),
    ("orders+x", "not an operator", "wildcard", False),
    ("orders+1+1", "not an operator", "", False),
    ("tag:a+b", "not an operator", "", False),
    ("+", "missing", "+name", False),
    ("1+", "missing", "+name", False),
    ("@", "missing", "", False),
    ("tag:", "missing", "tag:name", False),
    ("tag: finance", "missing", "after the colon", False),
    ("tag:a &", "missing", "both sides", False),
    ("tag:a & & tag:b", "missing", "both sides", False),
    ("!tag:finance", "NOT is not supported", "exclude list", False),
    ("tag:a\tb", "control character", "", False),
    ("tag:a, tag:b", "missing", "comma without spaces", False),
    ("tag:a,", "missing", "both sides", False),
    (",tag:a", "missing", "both sides", False),
    ("a\nb", "line break", "", True),
    ("config:table", "setting is missing", "config.materialized:table", False),
    ("path:.", "whole project", "package:this", True),
    ("path:./", "whole project", "", True),
    ("path:", "missing", "", True),
    ("path:/models/marts", "project folder", "path:models/marts", True),
    ("/models", "project folder", "path:models", True),
    ("path:../other/models", "leave", "", False),
    ("models/**.sql", "whole part", "models/**/", True),
    ("source:a.b.c.d", "three parts", "package.source.table", True),
    ("exposure:a.b.c", "dots", "exposure:package.name", True),
    ("resource_type:modle", "'modle' is not a value", "resource_type:model", True),
    ("version:newest", "not a value", "latest, prerelease, old, none", True),
    ("test_type:nonsense", "not a value", "generic, singular", True),
    ("test_type:at", "not a value", "data", False),
    ("test_type:", "missing", "", False),
    ("state:changed", "not a value", "modified", True),
    ("access:pubic", "not a value", "access:public", False),
    ("result:failed", "not a value", "result:fail", False),
    ("+resource_type:model++", "not an operator", "", True),
]


@pytest.mark.parametrize(("text", "message", "hint", "aborts"), REFUSED, ids=[repr(row[0]) for row in REFUSED])
def test_a_value_that_means_nothing_is_refused_with_what_was_probably_meant(
    text: str, message: str, hint: str, aborts: bool
) -> None:
    with pytest.raises(SelectorError) as refused:
        parse(text)
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert refused.value.aborts is aborts


def test_a_wildcard_in_a_setting_is_only_warned_of() -> None:
    assert "does not support wildcards" in parse("config.materialized:tab*").warnings[0]


def test_words_of_other_languages_are_warned_of() -> None:
    (warning,) = parse("not tag:finance").warnings
    assert "'not'" in warning and "exclude list" in warning
    assert parse("not").warnings == ()


def test_arguments_that_dbt_ignores_are_warned_of() -> None:
    assert "ignores '.x'" in parse("tag.x:finance").warnings[0]


def test_a_value_longer_than_the_limit_is_refused_without_being_repeated() -> None:
    with pytest.raises(SelectorError) as refused:
        parse("a" * (LIMITS["value_length"] + 1))
    assert len(str(refused.value)) < 200
