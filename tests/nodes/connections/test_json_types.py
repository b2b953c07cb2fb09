"""A column of JSON has the type that holds all of its values exactly; what none holds is refused by name."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.nodes.connections.loads import Place

#: values of a column, as JSON writes them; its type in the warehouse; the values there; what is said of it
COLUMNS = [
    (["1", "-9223372036854775808"], "BIGINT", [1, -(2**63)], ""),
    (["1", "2.5"], "DOUBLE", [1.0, 2.5], ""),
    (["9007199254740993", "0.5"], "DECIMAL(38,1)", [Decimal(9007199254740993), Decimal("0.5")], ""),
    (["18446744073709551615", "1"], "DECIMAL(38,0)", [Decimal(2**64 - 1), Decimal(1)], "a double would round"),
    (["1.2345678901234567891", "2"], "DECIMAL(38,19)", [Decimal("1.2345678901234567891"), 2], "decimal(38,19)"),
    (["1e400", "5"], "VARCHAR", ["1E+400", "5"], "has numbers of more than 38 digits, so it is loaded as text"),
    (["true", "false"], "BOOLEAN", [True, False], ""),
    (["true", "5"], "VARCHAR", ["true", "5"], "has numbers and true or false, so it is loaded as text"),
    (["5", '"0x1F"'], "VARCHAR", ["5", "0x1F"], "has numbers and texts, so it is loaded as text"),
    (['"2026-01-01T10:00:00+02:00"', '"2026-01-01T10:00:00Z"'], "TIMESTAMP WITH TIME ZONE",
     [datetime(2026, 1, 1, 8, tzinfo=UTC), datetime(2026, 1, 1, 10, tzinfo=UTC)], ""),
    (['"2026-01-01 10:00:00"', '"2026-01-01T10:00:00.5"'], "TIMESTAMP",
     [datetime(2026, 1, 1, 10), datetime(2026, 1, 1, 10, 0, 0, 500000)], ""),
    (['"2026-01-01T10:00:00Z"', "1767225600"], "VARCHAR", ["2026-01-01T10:00:00Z", "1767225600"], "numbers"),
    (['"2026-01-01T10:00:00.123456789Z"', "null"], "VARCHAR", ["2026-01-01T10:00:00.123456789Z", None], ""),
    (['"2026"', '"2026-W01"'], "VARCHAR", ["2026", "2026-W01"], ""),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    place = Place(tmp_path, "files", {"folder": "data"})
    (place.project / "data").mkdir()
    return place


def write(place, *lines, name="t"):
    (place.project / "data" / f"{name}.jsonl").write_text("\n".join(lines))


def test_the_type_of_a_column_holds_all_of_its_values(folder):
    for n, values in enumerate(zip(*(each[0] for each in COLUMNS), strict=True)):
        cells = ", ".join(f'"v{place}": {value}' for place, value in enumerate(values))
        with (folder.project / "data" / "t.jsonl").open("a") as file:
            file.write(f'{{"id": {n}, {cells}, "nothing": null}}\n')
    folder.loaded("t")
    types = {row[0]: row[1] for row in folder.rows("DESCRIBE shop.t")}
    log = folder.log.decode()
    for place, (_, kind, values, said) in enumerate(COLUMNS):
        found = [row[0] for row in folder.rows(f"SELECT v{place} FROM shop.t ORDER BY id")]
        assert (types[f"v{place}"], found) == (kind, values)
        assert any(f"column v{place} of t" in line and said in line for line in log.splitlines()) == bool(said), place
    assert "Columns without values have no known type and were not loaded: nothing." in log


def test_a_type_that_changed_between_loads_holds_old_and_new_values(folder):
    stream = {"name": "t", "mode": "append"}
    for line in ('{"id": 1, "a": 5, "b": 7, "c": 1.5, "d": "x"}', '{"id": 2, "a": "x", "b": 1.25, "c": 2, "d": 8}'):
        write(folder, line)
        folder.loaded(stream)
    rows = folder.rows("SELECT a, b, c, d FROM shop.t ORDER BY id")
    assert rows == [("5", 7.0, 1.5, "x"), ("x", 1.25, 2.0, "8")]
    write(folder, '{"id": 3, "c": 1.2345678901234567891}')
    assert "The column c changed from double to decimal" in folder.failed(stream)[1]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"\\ud800"', "column v, row 2: \\ud800 contains an incomplete character"),
        ('"\\uf0261.5"', "column v, row 2: \\uf0261.5 starts with a character that is reserved for dlt"),
        ("NaN", "t.jsonl, line 2: this is not JSON: NaN is not a JSON value"),
        ('{"a": 1, "a": 2}', "t.jsonl, line 2: this is not JSON: the key a occurs twice"),
    ],
    ids=range(4),
)
def test_a_value_that_no_warehouse_can_hold_is_refused_by_name(folder, value, said):
    write(folder, '{"v": null}', f'{{"v": {value}}}')
    assert said in folder.failed("t")[1]


def test_the_character_0_is_kept_by_duckdb_and_refused_for_postgresql_by_name(warehouse, tmp_path):
    place = Place(tmp_path, "files", {"folder": "data"}, destination=warehouse)
    (place.project / "data").mkdir()
    write(place, '{"id": 7, "v": {"w": "a\\u0000b"}}')
    stream = {"name": "t", "mode": "merge", "primary_key": ["id"]}
    if warehouse["type"] == "duckdb":
        place.loaded(stream)
        assert place.one("SELECT v__w FROM shop.t") == ("a\0b",)
    else:
        said = (
            "t, column v.w, the row with id 7: a\\u0000b contains the NUL character, which PostgreSQL text cannot store"
        )
        assert said in place.failed(stream)[1]
