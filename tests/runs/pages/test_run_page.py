"""The page of a run: what broke and why first, live, and a rerun that does what its dialog said."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from flows.infra.redaction import Redactor
from flows.models import Flow
from nodes.models import Node
from nodes.services import save_node
from runs.engine.pools import holder_of_task
from runs.logs.store import LogWriter
from runs.models import Lane, Pool, PoolSlot, Run, TaskRun, Trigger
from runs.operations.invariants import check
from runs.pages.run_detail.comparing import Line, compare, sql_difference
from runs.pages.run_detail.graph_data import graph_data, node_state
from runs.pages.run_detail.summary import family_of, summary_of
from runs.pages.run_detail.timeline import timeline_of
from runs.planning.rerun_decisions import Decision, Scope, decisions
from runs.planning.reruns import basis_of, preview, rerun
from runs.services import RunError, cancel_run, cancel_task_run, start_run
from runs.states import RunState
from runs.transitions import move_run
from tests.helpers.graphs import DIAMOND, drain, open_graph, states
from tests.helpers.pages import Person, sample_flow


def ran(specs=None, graph=DIAMOND):
    return drain(open_graph(graph, specs))


def ann(*permissions):
    return Person(f"ann {Run.objects.count()} {timezone.now().timestamp()}", *(permissions or ("everything",)))


# --- what runs again ------------------------------------------------------------------------------------------
KEYS = ["a", "b", "c", "d"]
EDGES = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
DONE = {"a": "succeeded in run 1", "c": "succeeded in run 1"}


@pytest.mark.parametrize(
    ("scope", "done", "changed", "runs"),
    [
        (Scope(), DONE, (), "bd"),
        (Scope(), dict.fromkeys(KEYS, "x"), (), ""),
        (Scope("all"), DONE, (), "abcd"),
        (Scope("selected", frozenset("c")), DONE, (), "bcd"),
        (Scope("selected", frozenset("a")), dict.fromkeys(KEYS, "x"), (), "a"),
        (Scope("here", frozenset("a")), dict.fromkeys(KEYS, "x"), (), "abcd"),
        (Scope("here", frozenset("b")), dict.fromkeys(KEYS, "x"), (), "bd"),
        (Scope(), dict.fromkeys(KEYS, "x"), ("c",), "cd"),
        (Scope(), {}, (), "abcd"),
    ],
)
def test_a_rerun_repeats_some_tasks_and_reuses_others(scope, done, changed, runs):
    found = decisions(KEYS, EDGES, done, scope, changed)
    assert "".join(key for key in KEYS if found[key].runs) == runs
    assert all(decision.why for decision in found.values())


def test_a_change_reaches_what_is_below_it_through_the_gates_between_nodes():
    edges = [("a", "gate"), ("gate", "b")]
    done = {"a": "x", "b": "x"}
    assert decisions(["a", "b"], edges, done, Scope(), ["a"])["b"] == Decision(
        True, "it is downstream of a task that runs again"
    )


def test_hooks_run_every_time_and_make_nothing_else_run():
    found = decisions(["start", "a"], [("start", "a")], {"a": "x"}, Scope(), (), ["start"])
    assert found["start"].runs and not found["a"].runs


# --- the page -------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_failed_run_opens_on_its_first_failure_with_the_error_first():
    run = ran({"b": {"end": "fail", "reason": "column <amount> does not exist"}})
    page = ann().open(f"/runs/{run.pk}/")
    panel = page.html[page.html.index('id="task-panel"') :]
    assert "What went wrong" in panel and panel.index("What went wrong") < panel.index("Attempts")
    assert "1 failed" in page.html and "1 skipped" in page.html and "2 succeeded" in page.html
    assert "upstream b failed" in page.html
    assert "Rerun from failure" in page.html and page.inline == []


@pytest.mark.django_db
def test_every_part_of_the_page_answers_for_every_kind_of_run():
    flow = sample_flow("Never planned")
    runs = [ran(), ran({"a": {"end": "fail"}}), open_graph(), start_run(flow, trigger=Trigger.MANUAL, actor="x")]
    broken = start_run(flow, trigger=Trigger.MANUAL, actor="x")
    move_run(broken.pk, RunState.QUEUED, RunState.FAILED, actor="p", reason="no", error="tag:x selects nothing\nmore")
    person = ann()
    for run in [*runs, broken]:
        task = run.task_runs.first()
        parts = ["", "?tab=graph", "?tab=timeline", "?tab=log", "?state=failed", "?q=zzz", "?sort=took", "?page=99"]
        parts += [
            "?task=",
            "?task=999",
            r"?tab=graph\&node=x",
            "?tab=graph&near=1",
            "graph/",
            "graph/?nodes=1",
            "rerun/",
        ]
        parts += [f"?task={task.pk}", f"graph/?near={task.pk}", f"compare/{runs[0].pk}/"] if task else []
        for part in parts:
            page = person.open(f"/runs/{run.pk}/{part}")
            assert page.status == 200 and page.inline == [], (run, part)
    assert "tag:x selects nothing" in person.open(f"/runs/{broken.pk}/").html


@pytest.mark.django_db
def test_filters_and_sorting_of_the_table():
    run = ran({"b": {"end": "fail"}})
    TaskRun.objects.filter(run=run, identifier="c").update(started_at=timezone.now() - timedelta(minutes=5))
    person = ann()

    def rows(query):
        html = person.open(f"/runs/{run.pk}/?task=&{query}").html
        found = run.task_runs.order_by("position")
        return [
            row.identifier
            for row in sorted(found, key=lambda row: html.find(f'id="task-{row.pk}"'))
            if f'id="task-{row.pk}"' in html
        ]

    assert rows("") == list("abcd")
    assert rows("state=failed") == ["b"]
    assert rows("q=upstream") == ["d"]
    assert rows("sort=took")[0] == "c"


@pytest.mark.django_db
def test_a_page_of_a_large_run_costs_the_same_number_of_queries(django_assert_max_num_queries):
    large = open_graph({f"t{n}": () for n in range(300)})
    person = ann()
    with django_assert_max_num_queries(24):
        person.client.get(f"/runs/{large.pk}/")
    assert "1 to 200 of 300" in person.open(f"/runs/{large.pk}/").html


@pytest.mark.django_db
def test_a_poll_without_change_is_one_small_query(django_assert_max_num_queries):
    run = ran()
    person = ann()
    version = summary_of(run).version
    person.client.get(f"/runs/{run.pk}/live/?since={version}")
    with django_assert_max_num_queries(3):  # session, user, version
        assert person.client.get(f"/runs/{run.pk}/live/?since={version}").status_code == 204


@pytest.mark.django_db
def test_a_poll_brings_the_rows_that_moved_and_the_head():
    run = open_graph()
    person = ann()
    before = summary_of(run).version
    shown = "-".join(str(row.pk) for row in run.task_runs.all())
    drain(run)
    answer = person.client.get(f"/runs/{run.pk}/live/?since={before}&tab=tasks&rows={shown}").json()
    assert answer["over"] and answer["version"] > before
    assert set(answer["parts"]) == {"run-head", *(f"task-{row.pk}" for row in run.task_runs.all())}
    assert "Succeeded" in answer["parts"]["run-head"]
    graph = person.client.get(f"/runs/{run.pk}/live/?since={before}&tab=graph").json()
    assert set(graph["states"].values()) == {"succeeded"}


@pytest.mark.django_db
def test_a_viewer_sees_no_button_and_without_permission_no_log():
    run = ran({"b": {"end": "fail"}})
    viewer = ann("runs.view_run")
    page = viewer.open(f"/runs/{run.pk}/")
    assert "Rerun" not in page.html and "End of the log" not in page.html and "/log/" not in page.html
    for path in (f"/runs/{run.pk}/rerun/", f"/runs/{run.pk}/cancel/"):
        assert viewer.client.post(path).status_code in (403,)


# --- graph and timeline ---------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_graph_is_the_run_as_it_was_planned_and_gates_are_drawn_through():
    run = open_graph({"a": (), "g": ("a",), "b": ("g",)}, kinds={"g": "gate"})
    made = graph_data(run)
    ids = {node["name"]: node["id"] for node in made["nodes"]}
    assert set(ids) == {"a", "b"} and made["edges"] == [(ids["a"], ids["b"])]
    near = graph_data(ran(), near=None, node=None)
    assert len(near["nodes"]) == 4 and len(near["edges"]) == 4


@pytest.mark.django_db
def test_a_task_of_a_large_run_is_found_by_name_and_shown_with_what_is_around_it():
    chain = {f"m{n:02}": (f"m{n - 1:02}",) if n else () for n in range(80)}
    run = open_graph(chain)
    ids = dict(run.task_runs.values_list("identifier", "pk"))
    person = ann()
    run.task_runs.filter(identifier="m03").update(state="failed", ended_at=timezone.now())
    assert "task-panel" in person.open(f"/runs/{run.pk}/").html
    nodes = person.open(f"/runs/{run.pk}/?tab=graph").html
    assert "nodes=1" in nodes and 'id="task-panel"' not in nodes  # they have the room
    assert 'id="task-panel"' in person.open(f"/runs/{run.pk}/?tab=graph&all=").html
    page = person.open(f"/runs/{run.pk}/?tab=graph&find=m40")
    assert f"near={ids['m40']}&amp;distance=2" in page.html and "Show more" in page.html
    many = person.open(f"/runs/{run.pk}/?tab=graph&find=m4")
    assert "10 tasks match" in many.html and f"?tab=graph&near={ids['m47']}&task={ids['m47']}" in many.links
    assert "No task in this run matches" in person.open(f"/runs/{run.pk}/?tab=graph&find=zzz").html

    def drawn(query):
        made = person.client.get(f"/runs/{run.pk}/graph/?{query}").json()
        return {node["name"] for node in made["nodes"]}, {node["name"] for node in made["nodes"] if node["chosen"]}

    assert drawn(f"near={ids['m40']}") == ({f"m{n}" for n in range(38, 43)}, {"m40"})
    assert (
        len(drawn(f"near={ids['m40']}&distance=5")[0]) == 11 and len(drawn(f"near={ids['m40']}&distance=999")[0]) == 17
    )
    assert drawn(f"chosen={ids['m03']}")[1] == {"m03"}
    around = graph_data(run, near=ids["m40"], distance=3)["nodes"][0]
    assert around["url"] == f"/runs/{run.pk}/?tab=graph&task={around['id']}&near={ids['m40']}&distance=3"


@pytest.mark.django_db
def test_the_bar_fills_from_the_left_and_says_first_what_is_wrong():
    run = open_graph()
    run.task_runs.filter(identifier="a").update(state="succeeded", ended_at=timezone.now())
    run.task_runs.filter(identifier="b").update(state="failed", ended_at=timezone.now())
    assert [share.state for share in summary_of(run).shares] == ["failed", "succeeded", "pending"]
    large = drain(open_graph({f"t{n}": () for n in range(500)}, {"t7": {"end": "fail"}}))
    shares = summary_of(large).shares
    assert shares[0].state == "failed" and shares[0].width > 0.5  # one among many is seen
    assert round(shares[-1].begin + shares[-1].width, 6) == 100


@pytest.mark.django_db
def test_the_run_the_task_and_the_list_name_who_cancelled():
    run = open_graph()
    cancel_run(run.pk, actor="bob")
    task = run.task_runs.get(identifier="a")
    person = ann()
    page = person.open(f"/runs/{run.pk}/?task={task.pk}").html
    assert "Cancelled by bob" in page[: page.index('id="task-panel"')]
    assert "Cancelled by bob" in page[page.index('id="task-panel"') :] and "Rerun unfinished" in page
    assert "by bob</span>" in person.open("/runs/").html
    alone = open_graph()
    task = alone.task_runs.get(identifier="a")
    cancel_task_run(task.pk, actor="eve")
    assert "Cancelled by eve" in person.open(f"/runs/{alone.pk}/?task={task.pk}").html


@pytest.mark.django_db
def test_two_runs_are_compared_to_the_line_of_sql_that_differs():
    runs = [ran(), ran()]
    codes = ["with a as (\n  select 1\n)\nselect * from a", "with a as (\n  select 2\n)\nselect * from a"]
    for run, code in zip(runs, codes, strict=True):
        path = write_log(f"{run.pk}/1.1.sql", code)
        run.task_runs.filter(identifier="a").update(result={"compiled": path, "rows_affected": run.pk})
    row = next(row for row in compare(*runs) if row.identifier == "a")
    assert row.notes == [f"rows {runs[0].pk:,} → {runs[1].pk:,}", "SQL"]
    assert Line("-", "  select 1") in row.sql and Line("+", "  select 2") in row.sql and Line("", ")") in row.sql
    page = ann().open(f"/runs/{runs[0].pk}/compare/{runs[1].pk}/")
    assert "<del>-   select 1" in page.html and "<ins>+   select 2" in page.html and page.inline == []


def write_log(path, text):
    writer = LogWriter(path, Redactor(()))
    writer.append(text.encode())
    writer.close()
    return path


def test_a_difference_too_large_to_read_is_not_made():
    assert sql_difference("a\n" * 5000, "b") == []
    assert len(sql_difference("a\n" * 2000, "b\n" * 2000)) == 400


@pytest.mark.django_db
def test_a_run_that_waits_for_a_file_says_who_has_it_and_how_many_come_first():
    having, first, waiting = open_graph(), open_graph(), open_graph()
    for run, waits in ((having, False), (first, True), (waiting, True)):
        lane = Lane.objects.create(run=run, pool="duckdb:/srv/dex/shop.duckdb", waits_for_pool=waits)
        if not waits:
            PoolSlot.objects.create(pool=lane.pool, slot=0, holder=f"lane:{lane.pk}", owner="w")
    person = ann()
    page = person.open(f"/runs/{waiting.pk}/")
    assert "Waiting for the DuckDB file shop.duckdb" in page.html and "1 ahead" in page.html
    assert f"/runs/{having.pk}/" in page.links
    assert "Waiting for" not in person.open(f"/runs/{having.pk}/").html
    again = person.client.get(f"/runs/{waiting.pk}/live/?since=0&tab=tasks").json()
    assert "shop.duckdb" in again["parts"]["run-head"]


@pytest.mark.django_db
@pytest.mark.parametrize(("field", "pool"), [("pool", "api"), ("warehouse_pool", "duckdb:/srv/dex/shop.duckdb")])
def test_a_run_whose_script_or_load_waits_for_a_pool_says_so_unless_its_own_tasks_have_it(field, pool):
    having, waiting = open_graph(), open_graph({"a": (), "b": ()})
    for run in (having, waiting):
        run.task_runs.filter(state="queued").update(**{field: pool}, queued_at=timezone.now())
    person = ann()
    assert "Waiting for" not in person.open(f"/runs/{waiting.pk}/").html  # it will begin at once
    slot = PoolSlot.objects.create(pool=pool, slot=0, holder=holder_of_task(having.task_runs.first().pk), owner="w")
    having.task_runs.filter(state="queued").update(state="running", fence=1, owner="w")
    page = person.open(f"/runs/{waiting.pk}/")
    assert f"Waiting for {'the pool api' if pool == 'api' else 'the DuckDB file shop.duckdb'}" in page.html
    assert f"/runs/{having.pk}/" in page.links
    PoolSlot.objects.filter(pk=slot.pk).update(holder=holder_of_task(waiting.task_runs.first().pk))
    assert "Waiting for" not in person.open(f"/runs/{waiting.pk}/").html  # one of its own tasks after the other
    PoolSlot.objects.filter(pk=slot.pk).update(holder=slot.holder)
    Pool.objects.create(name=pool, slots=2)
    assert "Waiting for" not in person.open(f"/runs/{waiting.pk}/").html


@pytest.mark.django_db
def test_a_model_whose_tests_warned_is_marked_in_the_list():
    run = ran()
    run.task_runs.filter(identifier="a").update(reason="1 of 3 tests warned")
    assert "1 of 3 tests warned" in ann().open(f"/runs/{run.pk}/").html


@pytest.mark.django_db
def test_nodes_are_one_card_each_in_their_most_telling_state():
    run = ran({"d": {"end": "fail"}})
    run.task_runs.filter(identifier__in=["a", "b"]).update(node_name="Staging")
    run.task_runs.filter(identifier__in=["c", "d"]).update(node_name="Marts")
    made = graph_data(run, nodes=True)
    assert [(node["name"], node["state"]) for node in made["nodes"]] == [
        ("Staging (2)", "succeeded"),
        ("Marts (2)", "failed"),
    ]
    assert ("Staging", "Marts") in made["edges"]
    assert node_state(Counter(running=1, succeeded=9)) == "running" and node_state(Counter()) == "pending"


@pytest.mark.django_db
def test_the_timeline_marks_the_chain_that_determined_the_end():
    run = ran()
    begin = timezone.now() - timedelta(hours=1)
    for name, start, end in (("a", 0, 10), ("b", 10, 15), ("c", 10, 40), ("d", 40, 45)):
        moments = {"started_at": begin + timedelta(seconds=start), "ended_at": begin + timedelta(seconds=end)}
        run.task_runs.filter(identifier=name).update(queued_at=moments["started_at"], **moments)
    Run.objects.filter(pk=run.pk).update(started_at=begin)
    run.refresh_from_db()
    made = timeline_of(run)
    assert {bar.task.identifier for bar in made.bars if bar.critical} == {"a", "c", "d"}
    assert [bar.task.identifier for bar in made.critical] == ["c", "a", "d"]
    assert made.seconds == 45 and [label.seconds for label in made.labels][:3] == [0, 10, 20]
    assert made.critical_seconds == 45 and [bar.task.identifier for bar in made.bars] == list("abcd")
    assert [bar.task.identifier for bar in timeline_of(run, "took").bars] == list("cabd")
    page = ann().open(f"/runs/{run.pk}/?tab=timeline&sort=took")
    assert "took 45 s of 45 s" in page.html and page.html.index(">c</span>") < page.html.index(">a</span>")
    assert page.inline == []


# --- reruns ---------------------------------------------------------------------------------------------------
@pytest.fixture
def failed(db):
    flow = sample_flow("Shop")
    save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))
    run = start_run(flow, trigger=Trigger.MANUAL, actor="ann")
    move_run(run.pk, RunState.QUEUED, RunState.RUNNING, actor="p", revision=flow.environment.current_revision)
    for number, (name, state) in enumerate((("stg_orders", "succeeded"), ("stg_payments", "failed"))):
        TaskRun.objects.create(
            run=run,
            unique_id=f"model.shop.{name}",
            identifier=name,
            kind="transformation",
            state=state,
            position=number,
            ended_at=timezone.now(),
            output_fence=0,
        )
    move_run(run.pk, RunState.RUNNING, RunState.FAILED, actor="settle", reason="")
    run.refresh_from_db()
    return run


def test_the_dialog_says_what_runs_what_is_taken_over_and_why(failed):
    page = ann().open(f"/runs/{failed.pk}/rerun/")
    assert "1 task runs, 1 is reused" in page.html
    assert "failed</span>" in page.html and f"succeeded in run {failed.pk}" in page.html
    assert "none of these tasks has succeeded recently" in page.html
    everything = ann().open(f"/runs/{failed.pk}/rerun/?mode=all")
    assert "2 tasks run, 0 are reused" in everything.html
    chosen = ann().open(f"/runs/{failed.pk}/rerun/?mode=selected&key=model.shop.stg_orders")
    assert "2 tasks run" in chosen.html and "chosen" in chosen.html


def test_the_dialog_says_how_long_it_will_probably_take_and_of_which_tasks_nobody_knows(failed):
    begin = timezone.now() - timedelta(hours=1)
    earlier = start_run(failed.flow, trigger=Trigger.MANUAL, actor="ann")
    move_run(earlier.pk, RunState.QUEUED, RunState.RUNNING, actor="p", started_at=begin)
    TaskRun.objects.create(
        run=earlier,
        unique_id="model.shop.stg_orders",
        identifier="stg_orders",
        kind="transformation",
        state="succeeded",
        output_fence=0,
        started_at=begin + timedelta(seconds=5),
        ended_at=begin + timedelta(seconds=95),
    )
    everything = ann().open(f"/runs/{failed.pk}/rerun/?mode=all").html
    assert "1 m 35 s" in everything  # two at a time, and 5 s to start
    assert "1 of these tasks has not succeeded recently" in everything
    assert preview(failed, Scope("all")).takes == 95
    one = preview(failed, Scope())
    assert (one.takes, one.unknown) == (None, 1)


def test_the_dialog_says_of_each_task_how_it_ended(failed):
    failed.task_runs.filter(identifier="stg_orders").update(state="skipped", reason="upstream raw_orders failed")
    said = {task.identifier: task.why for task in preview(failed, Scope()).running}
    assert said == {"stg_payments": "failed", "stg_orders": "skipped: upstream raw_orders failed"}
    failed.task_runs.filter(identifier="stg_payments").delete()
    newest = {task.identifier: task.why for task in preview(failed, Scope(), revision="newest").running}
    assert newest["staging.stg_payments"] == "it is new"


def test_the_form_starts_one_rerun_however_often_it_is_sent(failed):
    person = ann()
    page = person.open(f"/runs/{failed.pk}/rerun/")
    form = page.form("rerun")
    for _ in range(3):
        landed = person.post(page, form, {"start": "1", "mode": "failed"})
    again = Run.objects.exclude(pk=failed.pk).get()
    assert landed.url == f"/runs/{again.pk}/" and again.retry_of == failed
    assert again.scope == {"mode": "failed", "keys": [], "revision": "same"}


def test_a_run_has_one_rerun_at_a_time_and_the_second_request_is_refused(failed):
    first = rerun(failed, actor="ann")
    with pytest.raises(RunError, match=f"Run {first.pk} already reruns this run"):
        rerun(failed, actor="bob")
    cancel_run(first.pk, actor="ann")
    assert rerun(failed, actor="bob").retry_of == failed


@pytest.mark.django_db(transaction=True)
def test_fifty_reruns_at_once_open_one(failed):
    gate, refused = threading.Barrier(50), []

    def one():
        try:
            gate.wait()
            rerun(failed, actor="ann")
        except RunError as error:
            refused.append(str(error))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Run.objects.filter(retry_of=failed).count() == 1 and len(refused) == 49


def test_a_rerun_after_a_planning_failure_still_takes_over_what_succeeded_before(failed):
    second = rerun(failed, actor="ann")
    move_run(second.pk, RunState.QUEUED, RunState.FAILED, actor="planner", reason="gone", error="gone")
    second.refresh_from_db()
    assert basis_of(second) == failed
    made = preview(second, Scope())
    assert [task.identifier for task in made.reused] == ["stg_orders"]
    third = rerun(second, actor="ann")
    assert third.retry_of == second


def test_tries_form_a_tree_that_every_page_of_the_family_shows(failed):
    second = rerun(failed, actor="ann")
    cancel_run(second.pk, actor="ann")
    second.refresh_from_db()
    third = rerun(second, actor="ann")
    assert [(each.run.pk, each.depth) for each in family_of(third)] == [(failed.pk, 0), (second.pk, 1), (third.pk, 2)]
    page = ann().open(f"/runs/{failed.pk}/")
    assert f"/runs/{third.pk}/" in page.links


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keys": ["model.shop.nothing"]}, "has no task"),
        ({"mode": "here"}, "Choose the tasks"),
        ({"mode": "sideways"}, "Choose what to run"),
        ({"revision": "older"}, "on which revision"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(failed, options, said):
    with pytest.raises(RunError, match=said):
        rerun(failed, actor="ann", **options)


def test_a_run_that_goes_on_or_lost_its_flow_is_not_repeated(failed):
    going = open_graph()
    with pytest.raises(RunError, match="not finished"):
        rerun(going, actor="ann")
    Flow.objects.filter(pk=failed.flow_id).update(name="gone")
    failed.flow = None
    failed.save(update_fields=["flow"])
    with pytest.raises(RunError, match="deleted"):
        rerun(failed, actor="ann")
    assert "was deleted" in preview(failed, Scope()).problem
    assert states(going)["a"] == "queued" and check(going.pk) == []
