"""How long work will take is foreseen as the threads of a session would share it."""

import pytest

from runs.planning.estimates import expected_seconds

FOUR = dict.fromkeys("abcd", 10.0)


@pytest.mark.parametrize(
    ("seconds", "edges", "threads", "expected"),
    [
        (FOUR, [], 4, 10),
        (FOUR, [], 2, 20),
        (FOUR, [], 1, 40),
        (FOUR, [], 0, 40),
        (FOUR, [("a", "b"), ("b", "c"), ("c", "d")], 4, 40),
        (FOUR, [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")], 4, 30),
        ({"a": 30.0, "b": 1.0, "c": 1.0}, [("b", "c")], 2, 30),
        ({"a": 4.0, "gate": 0.0, "b": 6.0}, [("a", "gate"), ("gate", "b")], 4, 10),
        ({"a": 4.0, "b": None, "c": 8.0}, [], 1, 18),
        ({"a": 4.0, "gate": 0.0, "b": None}, [], 1, 8),
        ({"a": 4.0}, [("elsewhere", "a")], 1, 4),
        ({"a": None}, [], 1, None),
        ({}, [], 1, None),
    ],
)
def test_how_long_it_takes_is_what_the_threads_make_of_it(seconds, edges, threads, expected):
    assert expected_seconds(seconds, edges, threads) == expected


def test_a_thousand_tasks_are_foreseen_at_once():
    seconds = {f"t{n}": 1.0 for n in range(1000)}
    assert expected_seconds(seconds, [(f"t{n}", f"t{n + 100}") for n in range(900)], 10) == 100
