"""What the pure graph functions promise, on small graphs drawn in words and on large random ones."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from nodes import graph
from tests.helpers.waiting import within

DIAMOND = {"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ()}
DIAMOND_UP = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


@pytest.fixture(scope="module")
def large() -> list[tuple[str, str]]:
    chosen = random.Random(3)
    pairs = (sorted(chosen.sample(range(10_000), 2)) for _ in range(20_000))
    return sorted({(f"n{up:05}", f"n{down:05}") for up, down in pairs})


def test_ancestors_and_descendants_walk_as_many_steps_as_asked() -> None:
    assert graph.ancestors(DIAMOND_UP, ["d"]) == {"a", "b", "c"}
    assert graph.ancestors(DIAMOND_UP, ["d"], 1) == {"b", "c"}
    assert graph.descendants(DIAMOND, ["a"]) == {"b", "c", "d"}
    assert graph.descendants(DIAMOND, ["a"], 0) == set()


def test_a_start_is_in_the_result_only_when_another_start_leads_to_it() -> None:
    assert graph.descendants(DIAMOND, ["a", "b"]) == {"b", "c", "d"}
    assert graph.descendants(DIAMOND, ["b", "c"]) == {"d"}


def test_order_survives_a_model_that_is_not_selected() -> None:
    assert graph.contract({"a": ["b"], "b": ["c"]}, {"a", "c"}) == {("a", "c")}


def test_a_selected_model_in_between_hides_the_longer_way() -> None:
    assert graph.contract({"a": ["b"], "b": ["c"]}, {"a", "b", "c"}) == {("a", "b"), ("b", "c")}


def test_a_way_around_the_selected_model_is_kept_as_an_edge() -> None:
    children = {"a": ["b", "x"], "x": ["c"], "b": ["c"]}
    assert graph.contract(children, {"a", "b", "c"}) == {("a", "b"), ("b", "c"), ("a", "c")}


def test_selected_models_that_nothing_connects_have_no_edges() -> None:
    assert graph.contract({"a": ["b"]}, {"a", "z"}) == set()


@pytest.mark.parametrize("seed", range(20))
def test_contraction_agrees_with_looking_at_every_path(seed: int) -> None:
    chosen = random.Random(seed)
    nodes = [f"n{n:02}" for n in range(25)]
    children: dict[str, list[str]] = {node: [] for node in nodes}
    for _ in range(45):
        up, down = sorted(chosen.sample(nodes, 2))
        children[up].append(down)
    keep = set(chosen.sample(nodes, 10))

    def first_kept(node: str) -> set[str]:
        return {met for down in children[node] for met in ({down} if down in keep else first_kept(down))}

    assert graph.contract(children, keep) == {(up, down) for up in keep for down in first_kept(up)}


def test_a_cycle_is_named_from_its_first_node_round_to_it_again() -> None:
    assert graph.find_cycle([("c", "a"), ("a", "b"), ("b", "c"), ("c", "d")]) == ["a", "b", "c", "a"]


def test_a_node_that_waits_for_itself_is_a_cycle() -> None:
    assert graph.find_cycle([("a", "b"), ("b", "b")]) == ["b", "b"]


def test_no_cycle_is_none() -> None:
    assert graph.find_cycle([("a", "b"), ("b", "c"), ("a", "c")]) is None
    assert graph.find_cycle([]) is None


def test_an_order_of_a_graph_with_a_cycle_names_the_cycle() -> None:
    with pytest.raises(graph.CycleError, match="a -> b -> a"):
        graph.layers(["a"], [("a", "b"), ("b", "a")])
    with pytest.raises(graph.CycleError):
        graph.contract({"a": ["b"], "b": ["a"]}, {"a"})


def test_a_layer_is_the_longest_way_from_the_start() -> None:
    edges = [("a", "b"), ("b", "c"), ("a", "c")]
    assert graph.layers(["a", "b", "c", "alone"], edges) == {"a": 0, "b": 1, "c": 2, "alone": 0}


def test_a_picture_is_the_same_each_time_and_puts_neighbours_side_by_side() -> None:
    nodes = ["a1", "a2", "b1", "b2"]
    edges = [("a1", "b2"), ("a2", "b1")]
    drawn = graph.layout(nodes, edges)
    assert drawn == graph.layout(reversed(nodes), reversed(edges))
    assert {node: x for node, (x, _) in drawn.items()} == {"a1": 0, "a2": 0, "b1": 1, "b2": 1}
    assert drawn["a1"][1] == drawn["b2"][1] and drawn["a2"][1] == drawn["b1"][1]
    assert len(set(drawn.values())) == 4


def test_an_empty_picture_is_empty() -> None:
    assert graph.layout([], []) == {}
    assert graph.positions([], [], 240, 100) == {}


def test_the_cards_of_a_chain_stand_in_one_line_from_left_to_right() -> None:
    assert graph.positions("abc", [("a", "b"), ("b", "c")], 240, 100, (96, 32)) == {
        "a": (0, 0),
        "b": (336, 0),
        "c": (672, 0),
    }


def test_a_card_is_placed_in_the_middle_of_its_upstream_cards() -> None:
    drawn = graph.positions("abcd", [("a", "c"), ("b", "c"), ("c", "d")], 240, 100, (96, 32))
    assert drawn == {"a": (0, 0), "b": (0, 132), "c": (336, 66), "d": (672, 66)}


def test_a_high_card_gets_the_room_it_needs() -> None:
    drawn = graph.positions("abc", [], 240, {"a": 100, "b": 300, "c": 100}, (96, 32))
    assert [drawn[node][1] for node in "abc"] == [0, 132, 464]


@pytest.mark.parametrize("seed", range(20))
def test_no_two_cards_overlap_and_every_edge_leads_to_the_right(seed: int) -> None:
    chosen = random.Random(seed)
    edges = sorted({tuple(sorted(chosen.sample(range(60), 2))) for _ in range(90)})
    high = {node: chosen.choice([40, 100, 300]) for node in range(60)}
    drawn = graph.positions(range(60), edges, 240, high, (96, 32))
    assert drawn == graph.positions(reversed(range(60)), reversed(edges), 240, high, (96, 32))
    assert min(x for x, _ in drawn.values()) == min(y for _, y in drawn.values()) == 0
    assert all(drawn[up][0] < drawn[down][0] for up, down in edges)
    places = sorted((x, y, high[node]) for node, (x, y) in drawn.items())
    for (x, y, height), (next_x, next_y, _) in pairwise(places):
        assert next_x > x or next_y >= y + height + 31  # a pixel is lost by rounding


def test_the_critical_path_is_the_chain_that_takes_longest() -> None:
    edges = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    assert graph.critical_path({"a": 1, "b": 1, "c": 5, "d": 1}, edges) == ["a", "c", "d"]
    assert graph.critical_path({}, []) == []


def test_ten_thousand_nodes_do_not_hang(large: list[tuple[str, str]]) -> None:
    nodes = [f"n{n:05}" for n in range(10_000)]
    children: dict[str, list[str]] = {}
    for up, down in large:
        children.setdefault(up, []).append(down)
    with within(10):
        assert graph.contract(children, set(nodes)) == set(large)
        assert graph.contract(children, set(nodes[::2]))
        assert max(graph.layers(nodes, large).values()) > 5
        assert graph.find_cycle(large) is None
        up, down = large[0]
        assert graph.find_cycle([*large, (down, up)]) == [up, down, up]
