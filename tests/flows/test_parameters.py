import pytest

from flows.parameters import LONGEST_VALUE, MOST, TYPES, ParameterError, check_declarations, check_values

DAY = {"name": "day", "type": "date", "required": True}
LIMIT = {"name": "limit", "type": "integer", "default": 10}


@pytest.mark.parametrize(
    "declared",
    [
        [],
        [DAY, LIMIT],
        [{"name": "a"}],
        [{"name": "a", "type": "flag", "default": False}],
        [{"name": "a", "type": "number", "default": None}],
    ],
)
def test_good_declarations_pass(declared):
    check_declarations(declared)


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({}, "are a list"),
        ("day", "are a list"),
        (["day"], "needs a name"),
        ([{}], "needs a name"),
        ([{"name": 5}], "needs a name"),
        ([{"name": True}], "needs a name"),
        ([{"name": "two words"}], "needs a name"),
        ([{"name": "1st"}], "needs a name"),
        ([{"name": "day\n"}], "needs a name"),
        ([{"name": "a" * 101}], "needs a name"),
        ([DAY, DAY], "day is declared twice"),
        ([{"name": "a", "type": "float"}], "use one of text, integer"),
        ([{"name": "a", "type": ["text"]}], "use one of text, integer"),
        ([{"name": "a", "type": {}}], "use one of text, integer"),
        ([{"name": "a", "requierd": True}], "'requierd'; known are name, type, default, required"),
        ([{"name": "a", "required": "no"}], "required is true or false"),
        ([{"name": "a", "type": "integer", "default": "ten"}], "a must be a whole number, not 'ten'"),
        ([{"name": "a", "type": "date", "default": "31.01.2026"}], "such as 2026-01-31"),
        ([{"name": "a", "default": {"x": 1}}], "must be text"),
        ([{"name": "a", "default": float("nan")}], "must be text"),
        ([{"name": "a", "default": "\ud800"}], "must be text"),
        ([{"name": f"a{n}"} for n in range(MOST + 1)], "at most 256"),
    ],
)
def test_a_wrong_declaration_is_refused_and_says_what_to_write(declared, says):
    with pytest.raises(ParameterError, match=says):
        check_declarations(declared)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("text", "x y", "x y"),
        ("text", "$(touch x); `x`", "$(touch x); `x`"),
        ("text", 5, "5"),
        ("integer", "12", 12),
        ("integer", " 12 ", 12),
        ("integer", 3.0, 3),
        ("number", "1.5", 1.5),
        ("number", "1e3", 1000.0),
        ("flag", "Yes", True),
        ("flag", False, False),
        ("flag", "0", False),
        ("date", "2026-01-31", "2026-01-31"),
    ],
)
def test_values_are_converted_to_the_declared_type(kind, given, value):
    (found,) = check_values([{"name": "a", "type": kind}], {"a": given}).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("text", "x" * (LONGEST_VALUE + 1)),
        ("text", "a\0b"),
        ("text", ["a"]),
        ("integer", "1.5"),
        ("integer", 1.5),
        ("integer", "9" * 5000),
        ("integer", 2**63),
        ("integer", float("inf")),
        ("integer", True),
        ("integer", ""),
        ("number", "nan"),
        ("number", "inf"),
        ("number", "1e999"),
        ("number", "many"),
        ("flag", "perhaps"),
        ("flag", ""),
        ("date", "2026-02-30"),
        ("date", "yesterday"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(kind, given):
    with pytest.raises(ParameterError, match=r"^Parameter a must be "):
        check_values([{"name": "a", "type": kind}], {"a": given})


def test_defaults_fill_in_and_what_has_none_stays_unset():
    assert check_values([LIMIT, {"name": "note"}], {}) == {"limit": 10}


def test_a_required_value_must_be_given_unless_it_has_a_default():
    with pytest.raises(ParameterError, match="Parameter day is required"):
        check_values([DAY], {})
    assert check_values([{**DAY, "default": "2026-01-31"}], {}) == {"day": "2026-01-31"}


def test_an_unknown_parameter_is_refused_with_the_known_ones():
    with pytest.raises(ParameterError, match=r"no parameter 'dya'\. Its parameters: day, limit\."):
        check_values([DAY, LIMIT], {"dya": "2026-01-31"})
    with pytest.raises(ParameterError, match="It has no parameters"):
        check_values([], {"x": "1"})


def test_every_type_says_what_it_wants():
    for kind, (convert, wanted) in TYPES.items():
        assert callable(convert) and wanted.startswith(("a ", "true", "text")), kind
