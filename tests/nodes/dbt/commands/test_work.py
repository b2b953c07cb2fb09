"""Which tasks share a process, how a resource is selected, and what becomes of hooks. Without dbt."""

import pytest

from nodes.dbt.commands.project import Resources, goes_on, with_waiting_hooks
from nodes.dbt.commands.work import LONGEST_COMMAND, Work, choose

pytestmark = pytest.mark.unit


def planned(name, *needs, **fields):
    return Work(key=name, unique_id=name, needs=frozenset(needs), **fields)


def ordered(name, **fields):
    return Work(key=name, unique_id=name, task=f"{name}.1", **fields)


def names(chosen):
    return [work.key for work in chosen]


def test_a_chain_is_one_process():
    ahead = [planned("b", "a"), planned("c", "b"), planned("other", "elsewhere")]
    assert names(choose([ordered("a")], ahead, (), str)) == ["a", "b", "c"]


def test_what_dbt_knows_no_order_of_waits_until_it_is_done():
    linked = planned("b", after=frozenset({"a"}))
    assert names(choose([ordered("a")], [linked], (), str)) == ["a"]
    assert names(choose([ordered("x")], [linked], ("a",), str)) == ["x", "b"]


def test_tasks_of_other_flags_wait_for_a_process_of_their_own():
    orders = [ordered("a", full_refresh=True), ordered("b")]
    ahead = [planned("c", "a"), planned("d", "a", full_refresh=True)]
    assert names(choose(orders, ahead, (), str)) == ["a", "d"]


def test_no_resource_is_in_a_process_twice():
    one = Work(key="1", unique_id="a", task="1.1", tests=("t",))
    two = Work(key="2", unique_id="a", task="2.1", builds=False, tests=("t",))
    assert names(choose([one, two], [], (), str)) == ["1"]


def test_a_command_line_is_no_longer_than_the_kernel_takes():
    ahead = [planned(str(n)) for n in range(10)]
    chosen = choose([ordered("a")], ahead, (), lambda unique_id: "x" * (LONGEST_COMMAND // 4))
    assert 1 < len(chosen) < 5


def test_nothing_is_executed_that_nobody_ordered():
    assert choose([], [planned("a")], (), str) == []


def node(*fqn, path):
    return {"fqn": list(fqn), "package_name": fqn[0], "original_file_path": path}


def test_a_selector_means_one_resource():
    resources = Resources(
        {
            "nodes": {
                "model.p.a": node("p", "m", "a", path="models/m/a.sql"),
                "model.p.b": node("p", "m", "a", "b", path="models/m/a/b.sql"),
                "test.p.odd": node("p", "odd, name*", path="models/x y.yml"),
            },
            "unit_tests": {"unit_test.p.b.u": node("p", "m", "a", "b", "u", path="models/m/u.yml")},
        }
    )
    assert resources.term("model.p.a") == "fqn:p.m.a,file:a.sql"  # a folder has its name
    assert resources.term("model.p.b") == "fqn:p.m.a.b,file:b.sql"  # its unit test is named below it
    assert resources.term("test.p.odd") == "fqn:p.odd??name?"
    assert "model.p.z" not in resources


def test_hooks_of_the_project_and_of_its_packages_wait_in_the_copy(tmp_path):
    project = tmp_path / "project"
    (project / "dbt_packages" / "audit").mkdir(parents=True)
    (project / "dbt_project.yml").write_text("name: p\non-run-start: select 1\nmodel-paths: [sql]\n")
    (project / "dbt_packages" / "audit" / "dbt_project.yml").write_text(
        "name: audit\non-run-end: [{sql: select 2, transaction: false}, select 3]\n"
    )
    copy = with_waiting_hooks(project, tmp_path / "copy")
    assert "dex_on_run_start" in (copy / "dbt_project.yml").read_text()
    of_package = (copy / "dbt_packages" / "audit" / "dbt_project.yml").read_text()
    assert of_package.count("dex_on_run_end") == 2 and "transaction: false" in of_package
    assert (copy / "sql" / "dex_on_run_end.sql").is_file()
    assert "dex" not in (project / "dbt_project.yml").read_text()


@pytest.mark.parametrize(
    ("said", "version", "expected"),
    [
        ("", "1.11.2", True),
        ("", "1.12.6", False),
        ("flags: {skip_nodes_if_on_run_start_fails: true}", "1.10.1", False),
        ("flags: {skip_nodes_if_on_run_start_fails: false}", "2.0.0", True),
    ],
)
def test_after_a_start_hook_that_failed_a_run_goes_on_as_that_dbt_does(tmp_path, said, version, expected):
    (tmp_path / "dbt_project.yml").write_text(f"name: p\n{said}\n")
    assert goes_on(tmp_path, version) is expected


def test_tests_that_were_skipped_fail_their_task_unless_the_model_says_why():
    work = Work.of({"task": "t", "unique_id": "model.p.a", "tests": ["test.p.x.1"], "unit_tests": ["unit_test.p.a.u"]})
    assert work.resources == ("unit_test.p.a.u", "model.p.a", "test.p.x.1")
    assert not work.over and work.result("", "dbt is gone")["status"] == "error"
