import pytest

from nodes.ordering import ON_RUN_END, ON_RUN_START, CycleError, ExpandedNode, order
from nodes.tasks import TaskSpec
from tests.helpers.small_manifests import small_manifest


def node(number, names, *, tests=(), runs=True, builds=True, unit_tests=()):
    """A node that selected these models and tests."""
    specs = [TaskSpec(f"model.shop.{n}", f"model.shop.{n}", n, "model", runs=runs) for n in names]
    specs += [TaskSpec(f"test.shop.{n}", f"test.shop.{n}", n, "test") for n in tests]
    specs += [TaskSpec(f"unit_test.shop.{n}", f"unit_test.shop.{n}", n, "unit_test") for n in unit_tests]
    return ExpandedNode(number, f"node {number}", number, tuple(specs), builds)


def edges(result):
    names = {row.key: row.spec.identifier for row in result.rows}
    return {(names[a], names[b]) for a, b in result.edges}


CHAIN = {"a": [], "b": ["a"], "c": ["b"]}


def test_refs_give_the_order():
    result = order([node(1, "abc")], [], small_manifest(CHAIN))
    assert [row.spec.identifier for row in result.rows] == ["a", "b", "c"]
    assert edges(result) == {("a", "b"), ("b", "c")}


def test_order_survives_a_model_that_was_not_selected():
    assert edges(order([node(1, "ac")], [], small_manifest(CHAIN))) == {("a", "c")}


def test_refs_order_models_of_different_nodes():
    assert edges(order([node(1, "a"), node(2, "c")], [], small_manifest(CHAIN))) == {("a", "c")}


def test_a_model_in_two_nodes_is_built_once_by_the_first():
    result = order([node(1, "ab"), node(2, "bc")], [], small_manifest(CHAIN))
    assert [(row.spec.identifier, row.node_id) for row in result.rows] == [("a", 1), ("b", 1), ("c", 2)]
    assert result.built_by == {(2, "model.shop.b"): 1}


def test_a_link_decides_which_node_is_the_first():
    models = {"a": [], "b": ["a"], "c": ["b"]}
    result = order([node(1, "b"), node(2, "ab")], [(2, 1)], small_manifest(models))
    assert {row.spec.identifier: row.node_id for row in result.rows} == {"a": 2, "b": 2}


def test_a_link_makes_everything_of_the_second_wait_for_all_of_the_first():
    result = order([node(1, "x"), node(2, "ab")], [(1, 2)], small_manifest({**CHAIN, "x": []}))
    assert edges(result) == {("x", "a"), ("a", "b")}


def test_a_large_link_goes_through_one_gate():
    up, down = [f"u{n}" for n in range(20)], [f"d{n}" for n in range(30)]
    manifest = small_manifest({name: [] for name in up + down})
    result = order([node(1, up), node(2, down)], [(1, 2)], manifest)
    assert len(result.edges) == 50
    assert "after node 1" in [row.spec.identifier for row in result.rows]


def test_a_node_whose_models_all_belong_to_another_still_holds_back_what_runs_after_it():
    result = order([node(1, "a"), node(2, "a"), node(3, "x")], [(2, 3)], small_manifest({**CHAIN, "x": []}))
    assert edges(result) == {("a", "x")}


def test_a_node_that_executes_nothing_passes_the_order_on():
    free = small_manifest({"a": [], "b": [], "c": []})
    links = [(1, 2), (2, 3), (3, 4)]
    assert edges(order([node(1, "a"), node(2, ""), node(3, ""), node(4, "c")], links, free)) == {("a", "c")}
    # Node 2 selects b, which node 3 builds: what runs after node 2 waits for b, and for what node 2 waits for.
    shared = [node(3, "b"), node(2, "b"), node(1, "a"), node(4, "c")]
    assert edges(order(shared, [(1, 2), (2, 4), (3, 2)], free)) == {("a", "c"), ("b", "c")}


def test_a_circle_through_a_node_that_executes_nothing_is_refused():
    with pytest.raises(CycleError):
        order([node(1, "b"), node(2, ""), node(3, "a")], [(1, 2), (2, 3)], small_manifest(CHAIN))


def test_links_that_contradict_refs_are_refused_by_name():
    with pytest.raises(CycleError) as caught:
        order([node(1, "a"), node(2, "c")], [(2, 1)], small_manifest(CHAIN))
    assert str(caught.value).endswith(
        ("a (node 1) -> c (node 2) -> a (node 1)", "c (node 2) -> a (node 1) -> c (node 2)")
    )


def test_links_in_a_circle_are_refused_by_the_nodes_names():
    with pytest.raises(CycleError, match=r"node 1 -> node 2 -> node 1|node 2 -> node 1 -> node 2"):
        order([node(1, "a"), node(2, "x")], [(1, 2), (2, 1)], small_manifest({**CHAIN, "x": []}))


def test_an_ephemeral_model_carries_order_without_being_a_task():
    manifest = small_manifest(CHAIN, ephemeral=["b"])
    assert edges(order([node(1, "ac")], [], manifest)) == {("a", "c")}


def test_a_test_of_one_model_is_part_of_it():
    result = order([node(1, "ab", tests=["t"])], [], small_manifest(CHAIN, {"t": ["a"]}))
    assert {row.spec.identifier: row.spec.tests for row in result.rows} == {"a": ("test.shop.t",), "b": ()}


def test_a_test_whose_other_parents_are_upstream_is_part_of_the_lowest():
    result = order([node(1, "abc", tests=["t"])], [], small_manifest(CHAIN, {"t": ["a", "b"]}))
    assert {row.spec.identifier: row.spec.tests for row in result.rows}["b"] == ("test.shop.t",)


def test_a_test_between_two_models_blocks_only_what_needs_both():
    models = {"a": [], "b": [], "both": ["a", "b"], "one": ["a"], "later": ["both"]}
    result = order([node(1, models, tests=["t"])], [], small_manifest(models, {"t": ["a", "b"]}))
    assert edges(result) == {
        ("a", "t"),
        ("b", "t"),
        ("t", "both"),
        ("a", "both"),
        ("b", "both"),
        ("a", "one"),
        ("both", "later"),
    }


def test_a_source_is_tested_before_the_models_that_read_it():
    manifest = small_manifest(
        {"a": ["source.shop.raw.s"], "b": ["a"], "x": []}, {"t": ["source.shop.raw.s"]}, sources=["s"]
    )
    result = order([node(1, "abx", tests=["t"])], [], manifest)
    assert edges(result) == {("raw.s", "a"), ("a", "b")}


def test_a_node_that_only_tests_waits_for_the_builds_and_blocks_nothing():
    manifest = small_manifest(CHAIN, {"t": ["a"], "u": ["a"]})
    build, test = node(1, "abc"), node(2, "", tests=["t", "u"], builds=False)
    result = order([build, test], [], manifest)
    assert len(result.rows) == 4
    row = next(row for row in result.rows if row.node_id == 2)
    assert (row.spec.identifier, row.spec.tests, row.spec.builds) == ("a", ("test.shop.t", "test.shop.u"), False)
    assert {(a, b) for a, b in result.edges if row.key in (a, b)} == {("model.shop.a", row.key)}


def test_unit_tests_belong_to_their_model():
    manifest = small_manifest(CHAIN, unit_tests={"u": "b"})
    result = order([node(1, "ab", unit_tests=["b.u"])], [], manifest)
    assert {r.spec.identifier: r.spec.unit_tests for r in result.rows} == {"a": (), "b": ("unit_test.shop.b.u",)}


def test_hooks_stand_at_both_ends():
    result = order([node(1, "ab")], [], small_manifest(CHAIN), hooks=[ON_RUN_START, ON_RUN_END])
    assert edges(result) == {("on-run-start", "a"), ("a", "b"), ("b", "on-run-end")}
    assert [row.waits_for for row in result.rows] == ["success", "success", "success", "end"]


def test_resources_that_the_command_does_not_run_are_no_tasks():
    assert order([node(1, "ab", runs=False)], [], small_manifest(CHAIN)).rows == []


def load_node(number, *tables):
    """A node that loads these tables in one task."""
    parts = tuple(
        TaskSpec(f"source.shop.raw.{name}", f"source.shop.raw.{name}", name, "stream", path=name) for name in tables
    )
    one = TaskSpec(f"stream.node.{number}", f"stream.node.{number}", f"load {number}", "stream", parts=parts)
    return ExpandedNode(number, f"node {number}", number, (one,))


READERS = {"a": ["source.shop.raw.x"], "b": ["source.shop.raw.y"], "c": ["a", "b"], "d": []}


def test_models_wait_for_the_one_task_that_loads_what_they_read():
    manifest = small_manifest(READERS, sources=["x", "y"])
    result = order([load_node(1, "x", "y"), node(2, "acd")], [], manifest)
    assert edges(result) == {("load 1", "a"), ("load 1", "c"), ("a", "c")}
    assert result.implied == result.edges


def test_when_two_tasks_load_one_table_the_first_loads_it_and_models_wait_for_it():
    manifest = small_manifest(READERS, sources=["x", "y"])
    result = order([load_node(1, "x"), load_node(2, "x", "y"), node(3, "ab")], [], manifest)
    assert edges(result) == {("load 1", "a"), ("load 2", "b")}
    parts = {row.spec.identifier: [part.path for part in row.spec.parts] for row in result.rows if row.spec.parts}
    assert parts == {"load 1": ["x"], "load 2": ["y"]}
    assert result.built_by == {(2, "source.shop.raw.x"): 1}


def test_a_task_whose_tables_others_load_is_left_out_and_its_links_hold_all_the_same():
    manifest = small_manifest(READERS, sources=["x", "y"])
    result = order([load_node(1, "x"), load_node(2, "x"), node(3, "d")], [(2, 3)], manifest)
    assert edges(result) == {("load 1", "d")}
    assert result.built_by == {(2, "source.shop.raw.x"): 1, (2, "stream.node.2"): 1}


def test_tests_of_a_source_wait_for_the_one_task_that_loads_it():
    manifest = small_manifest(READERS, {"fresh": ["source.shop.raw.y"]}, sources=["x", "y"])
    result = order([load_node(1, "x", "y"), node(2, "", tests=["fresh"])], [], manifest)
    assert [(a, b.partition(":")[0]) for a, b in result.edges] == [("stream.node.1", "tests")]
