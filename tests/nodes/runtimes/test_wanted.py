"""Requirements of a dbt runtime as people type them: what is wrong is said in a sentence that helps."""

import pytest

from nodes.runtimes.wanted import RuntimeProblem, Wanted, typed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Enter dbt-core and an adapter"),
        ("# only words", "Enter dbt-core and an adapter"),
        ("dbt-core~=1.10.0", "The adapter is missing. Add the package for your warehouse, such as dbt-snowflake."),
        ("dbt-core~=1.10.0\nsix", "<nothing>"),
        ("dbt-core==1.10.1\ndbt-core==1.10.2\ndbt-duckdb", "dbt-core is named 2 times. Keep one of these lines."),
        ("dbt\ndbt-duckdb", "dbt is another program than dbt Core"),
        ("dbt-core==1.7.4\ndbt-duckdb", "dbt-core==1.7.4 is none of the versions that dex runs (dbt 1.8 to 1.12)"),
        ("dbt-core>=2.0\ndbt-duckdb", "dbt-core>=2.0 is none of the versions"),
        ("dbt-duckdb\ngit+https://host/x", "Line 2: git+https://host/x is not a package with versions"),
        ("dbt-duckdb @ https://host/x.whl", "Line 1: dbt-duckdb @ https://host/x.whl is a URL"),
        ("--index-url https://host\ndbt-duckdb", "Line 1: options are not allowed"),
    ],
)
def test_what_cannot_be_a_runtime_is_refused_where_it_was_typed(text, said):
    if said == "<nothing>":  # an adapter may have any name
        assert typed(text, ["snowflake"]).requirements == ("dbt-core~=1.10.0", "six")
        return
    with pytest.raises(RuntimeProblem) as told:
        typed(text, ["snowflake"])
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("requirements", "lines"),
    [
        (["dbt-core~=1.10.0", "dbt-duckdb"], ["1.10"]),
        (["dbt-core>=1.9,<1.11", "dbt-duckdb"], ["1.10", "1.9"]),
        (["dbt-core==1.8.3", "dbt-duckdb"], ["1.8"]),
        (["dbt-core==1.12.0b1", "dbt-duckdb"], ["1.12"]),
        (["dbt_core==1.12.*", "dbt-duckdb"], ["1.12"]),
        (["dbt-duckdb"], ["1.12", "1.11", "1.10", "1.9", "1.8"]),
    ],
)
def test_the_lines_of_dbt_that_requirements_allow_are_told_the_newest_first(requirements, lines):
    assert Wanted(tuple(requirements)).lines == lines


def test_an_adapter_alone_brings_dbt_core_and_the_order_of_lines_does_not_matter():
    assert Wanted(("dbt-duckdb",)).install == ("dbt-duckdb", "dbt-core")
    assert Wanted(("dbt-core==1.10.1", "dbt-duckdb")).install == ("dbt-core==1.10.1", "dbt-duckdb")
    one, other = Wanted(("a", "b"), ("c==1",)), Wanted(("b", "a"), ("c==1",))
    assert one.digest("index") == other.digest("index") != one.digest("another")
    assert one.digest("index") != Wanted(("a", "b")).digest("index")
