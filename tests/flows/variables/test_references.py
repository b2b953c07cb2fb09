"""What stands in braces in a field is filled in, and what cannot be is told so that it can be fixed."""

import pytest

from flows.variables.references import Reference, ReferenceProblem, fill, references_in

VARIABLES = {"REGION": "eu {{ SIZE }}", "SIZE": "s"}
OUTPUTS = {"Load orders": {"rows": 12, "path": "a/b", "list": [1, "ä"]}}


@pytest.mark.parametrize(
    ("typed", "filled"),
    [
        ("{{REGION}}/{{ REGION }}", "eu {{ SIZE }}/eu {{ SIZE }}"),  # a value is not looked into
        ("{{ params.day }}-{{params.count}}-{{ params.on }}", "2026-01-31-3-true"),
        ("{{ nodes.Load orders.output.rows }} of {{ nodes.Load orders.output.path }}", "12 of a/b"),
        ("{{ nodes.Load orders.output.list }}", '[1, "ä"]'),
        ("{x} {{ 7*7 }} {{}} {{ a b }} {% x %} {{", "{x} {{ 7*7 }} {{}} {{ a b }} {% x %} {{"),
        ("$(touch X); `id` \\n 'it''s' \u202e", "$(touch X); `id` \\n 'it''s' \u202e"),
    ],
)
def test_references_are_filled_in_and_everything_else_stays(typed, filled):
    made = fill(typed, VARIABLES, {"day": "2026-01-31", "count": 3, "on": True}, OUTPUTS.get)
    assert made == filled


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("{{ REGON }}", r"There is no variable REGON\. Did you mean REGION\?"),
        ("{{ x }}", r"There is no variable x\.$"),
        ("{{ params.dy }}", r"There is no parameter of the run dy\. Did you mean day\?"),
        ("{{ nodes.Load orders.output.row }}", r"no output of the node Load orders row\. Did you mean rows\?"),
        ("{{ nodes.Other.output.rows }}", r"The node Other has not succeeded in this run"),
        ("{{ TOKEN }}", r"TOKEN is a secret, .* os\.getenv\(\"TOKEN\"\)"),
    ],
)
def test_a_reference_that_cannot_be_filled_in_is_reported_with_what_to_do(typed, said):
    with pytest.raises(ReferenceProblem, match=said):
        fill(typed, {**VARIABLES, "TOKEN": "hidden-value"}, {"day": "x"}, OUTPUTS.get, secrets=["TOKEN"])


def test_references_are_found_wherever_they_stand():
    value = [{"key": "a", "value": "{{ REGION }} {{ REGION }}"}, {"key": "b", "value": "{{ nodes.A.output.n }}"}]
    assert references_in(value) == [Reference("variable", "REGION"), Reference("output", "A", "n")]
