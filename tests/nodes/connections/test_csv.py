"""CSV as the world writes it: read exactly, or refused with the line and what to do; no row is lost or doubled."""

import csv
import gzip
import io
from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.connections.connectors import csv_files
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.readers import Reading
from tests.nodes.connections.loads import Place


def table(folder, data, name="a.csv", **options):
    """Names, types and rows of a file."""
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    pieces = list(csv_files.read([(name, path)], Reading(**options)))
    assert len({piece.schema for piece in pieces}) <= 1
    schema = pieces[0].schema if pieces else []
    rows = [tuple(row.values()) for piece in pieces for row in piece.to_pylist()]
    return [each.name for each in schema], [str(each.type) for each in schema], rows


def refused(folder, data, **options):
    with pytest.raises(SourceError) as told:
        table(folder, data, **options)
    return str(told.value)


def test_a_line_with_a_comma_too_much_is_named_and_nothing_is_lost(tmp_path):
    good = "id,said\n" + "".join(f"{number},hello\n" for number in range(1000))
    assert len(table(tmp_path, good)[2]) == 1000
    said = refused(tmp_path, good + "1000,hello, world\n")
    assert said == "a.csv, line 1002: it has 3 values, and there are 2 columns. The line: 1000,hello, world"
    more = "id,said\n" + "1,a\n" * 499 + "1,a,b\n" * 100
    assert "line 501: it has 3 values, and there are 2 columns" in refused(tmp_path, more)
    assert "line 3: it has 1 value, and there are 2 columns" in refused(tmp_path, "id,said\n1,a\n2\n")


def test_a_load_of_a_broken_file_leaves_the_table_as_it_was(tmp_path):
    place = Place(tmp_path, "files", {"folder": "data"})
    (place.project / "data").mkdir()
    good = "id,said\n" + "".join(f"{number},hello\n" for number in range(1000))
    (place.project / "data" / "a.csv").write_text(good)
    place.loaded("a")
    (place.project / "data" / "a.csv").write_text(good + "1000,hello, world\n")
    kind, said = place.failed("a")
    assert kind == "data" and "a.csv, line 1002" in said
    assert place.one("SELECT count(*), max(id) FROM shop.a") == (1000, 999)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("a,a,b,b\n1,2,3,4\n", "line 1: several columns have the name a, b"),
        ("a,,b,\n1,2,3,4\n", "line 1: columns 2, 4 have no name"),
        ('a,b\n1,"x\n2,y\n', "line 2: a quote is opened here and never closed"),
        ('a,b\n1,"x"y\n', 'line 2: there is text behind a closing quote. The line: 1,"x"y'),
        (b"a,b\n1,\xe9t\xe9 \xe0 la mer\n", "line 2: this is not UTF-8 text. It looks like"),
        (b"a,b\n" + b"1,x\n" * 20_000 + b"1,\xff\n", "line 20002: this is not UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16-le"), "this looks like UTF-16. Choose it under Encoding"),
        (b"a,b\n1,\0\n", "Is it a binary file?"),
        (b"a,b\n1,2\n\xff\xfe", "line 3: this is not UTF-8 text"),
    ],
    ids=range(9),
)
def test_an_unreadable_line_is_reported_with_its_number(tmp_path, data, said):
    assert said in refused(tmp_path, data)


def test_a_line_is_called_too_long_only_when_it_is(tmp_path):
    long = "x" * (17 * 1024 * 1024)
    assert "line 2: it is longer than 16 MiB" in refused(tmp_path, f"a,b\n1,{long}\n")
    many = "\n".join(["x" * 1000] * 17_500)
    assert "line 2: a value is longer than 16 MiB" in refused(tmp_path, f'a,b\n1,"{many}"\n')
    half = "y" * (15 * 1024 * 1024)
    assert table(tmp_path, f"a,b\n1,{half}\n")[2] == [(1, half)]
    assert "longer" not in refused(tmp_path, f"a,b\n1,{half}\n1,2,3\n")


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("n;v\n1;1,5\n2;é\n", {"delimiter": ";"}),
        ("n;v\n1;1,5\n2;é\n", {}),
        ("n\tv\n1\t1,5\n2\té\n", {"delimiter": "tab"}),
        ("n|v\n1|1,5\n2|é\n", {}),
        ("n,v\r\n1,'1,5'\r\n2,'é'\r\n", {"quote": "'"}),
        ("n,v\r1,\"1,5\"\r2,é\r", {}),
        ("\ufeffn,v\n1,\"1,5\"\n2,é\n", {}),
        ("n,v\n1,\"1,5\"\n2,é\n".encode("utf-16"), {}),
        ("n,v\n1,\"1,5\"\n2,é\n".encode("utf-16-be"), {"encoding": "utf-16"}),
        ("n,v\n1,\"1,5\"\n2,é\n".encode("latin-1"), {"encoding": "latin-1"}),
        ("n,v\n1,\"1,5\"\n2,é\n".encode("cp850"), {"encoding": "cp850"}),
        ("made on Monday\n\nn,v\n1,\"1,5\"\n2,é\n", {"header_row": 3}),
        ("n,v\n\n1,\"1,5\"\n\n2,é\n\n\n", {}),
    ],
    ids=range(13),
)  # fmt: skip
def test_files_are_read_as_they_are_written(tmp_path, data, options):
    assert table(tmp_path, data, **options) == (["n", "v"], ["int64", "string"], [(1, "1,5"), (2, "é")])


def test_the_first_line_is_a_header_when_it_looks_like_one_or_somebody_says_so(tmp_path):
    assert table(tmp_path, "1,2\n3,4\n")[0::2] == (["column0", "column1"], [(1, 2), (3, 4)])
    assert table(tmp_path, "1,2\n3,4\n", header="yes")[0::2] == (["1", "2"], [(3, 4)])
    assert table(tmp_path, "a,b\nc,d\n")[0::2] == (["a", "b"], [("c", "d")])
    assert table(tmp_path, "a,b\nc,d\n", header="no")[0::2] == (["column0", "column1"], [("a", "b"), ("c", "d")])
    assert table(tmp_path, "a,2026-01-01\nc,d\n")[2] == [("a", "2026-01-01"), ("c", "d")]
    assert table(tmp_path, "column0,column1\nc,d\n")[2] == [("c", "d")]


def test_words_for_nothing_decimal_commas_and_compressed_files(tmp_path):
    data = "n;v\n1;1,5\nNA;-0,25\n3;NULL\n"
    options = {"delimiter": ";", "decimal_mark": ",", "null_words": ["NA", "NULL"]}
    assert table(tmp_path, data, **options)[1:] == (["int64", "double"], [(1, 1.5), (None, -0.25), (3, None)])
    assert table(tmp_path, gzip.compress(data.encode()), name="a.csv.gz", **options)[2][0] == (1, 1.5)
    assert "incomplete or damaged" in refused(tmp_path, gzip.compress(data.encode())[:-9], name="b.csv.gz", **options)
    assert table(tmp_path, "v\n1.234,5\n", decimal_mark=",", delimiter=";")[2] == [("1.234,5",)]  # no number: a point


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        (["1", "-2", ""], "int64", [1, -2, None]),
        (["007", "12"], "string", ["007", "12"]),
        (["+1", "2"], "string", ["+1", "2"]),
        (["-0", "2"], "double", [-0.0, 2.0]),
        (["123456789012345678"], "int64", [123456789012345678]),
        (["12345678901234567890"], "string", ["12345678901234567890"]),
        (["0.1", "1e5", "3"], "double", [0.1, 100000.0, 3.0]),
        (["0.12345678901234567"], "string", ["0.12345678901234567"]),
        (["NaN", "1"], "string", ["NaN", "1"]),
        (["true", "FALSE"], "bool", [True, False]),
        (["2026-02-28", "0001-01-01"], "date32[day]", [date(2026, 2, 28), date(1, 1, 1)]),
        (["2026-02-30"], "string", ["2026-02-30"]),
        (["31/12/2026"], "string", ["31/12/2026"]),
        (["0000-01-01"], "string", ["0000-01-01"]),
        (["2026-01-01 10:00:00.5"], "timestamp[us]", [datetime(2026, 1, 1, 10, 0, 0, 500000)]),
        (["2026-01-01 10:00:00.1234567"], "string", ["2026-01-01 10:00:00.1234567"]),
        (["10:00:00"], "time64[us]", [time(10)]),
        (["24:00:00"], "string", ["24:00:00"]),
        (["infinity", "2026-01-01"], "string", ["infinity", "2026-01-01"]),
    ],
    ids=range(19),
)
def test_a_column_has_a_type_only_if_every_value_is_written_so(tmp_path, values, kind, read):
    _, kinds, rows = table(tmp_path, "id,v\n" + "".join(f"x{n},{value}\n" for n, value in enumerate(values)))
    assert (kinds[1], [row[1] for row in rows]) == (kind, read)


def test_a_moment_with_an_offset_is_the_same_moment(tmp_path):
    _, kinds, rows = table(tmp_path, "id,v\nx,2026-01-01 10:00:00+02:00\ny,2026-01-01T08:00:00Z\n")
    assert kinds[1] == "timestamp[us, tz=UTC]" and rows[0][1] == rows[1][1]
    assert rows[0][1].utcoffset().total_seconds() == 0 and rows[0][1].hour == 8


FIELDS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12),
    st.integers().map(str),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.floats().map(repr),
    st.datetimes().map(str),
    st.dates().map(str),
    st.times().map(str),
    st.sampled_from(["", "NULL", "true", "007", "1e400", "24:00:00", "9" * 19, '"', "'", "a\r\nb", " x "]),
)


def same(text, value):
    """Whether a value is what was written, to the last digit."""
    if value is None:
        return text == ""
    if isinstance(value, str):
        return text == value
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int | float):
        return Decimal(text) == Decimal(repr(value)) and (not text.startswith("-") or str(value).startswith("-"))
    if isinstance(value, datetime):
        return datetime.fromisoformat(text) == value
    if isinstance(value, time):
        return time.fromisoformat(text) == value
    return date.fromisoformat(text) == value


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), delimiter=st.sampled_from([",", ";", "\t", "|"]), ending=st.sampled_from(["\n", "\r\n"]))
def test_whatever_a_program_writes_is_read_equal(tmp_path, data, delimiter, ending):
    """Random tables, written by another program's rules: every row comes back, every value equal."""
    width = data.draw(st.integers(2, 5))
    rows = data.draw(st.lists(st.lists(FIELDS, min_size=width, max_size=width), min_size=1, max_size=8))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerow([f"c{number}" for number in range(width)])
    writer.writerows(rows)
    names, _, read = table(tmp_path, text.getvalue().encode(encoding), delimiter=delimiter, header="yes")
    assert names == [f"c{number}" for number in range(width)] and len(read) == len(rows)
    for written, found in zip(rows, read, strict=True):
        assert all(same(*pair) for pair in zip(written, found, strict=True)), (written, found)
