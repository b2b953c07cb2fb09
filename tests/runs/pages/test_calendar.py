"""The calendar: what is going to start is what really fires, and what gets in its own way is said."""

import random
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.models import Environment, Flow, Follow, Project, Tick
from flows.scheduling.cron import due_times_between
from flows.scheduling.due_times import due_times_in
from nodes.models import Node, Task
from runs.models import Run, Trigger
from runs.pages.calendar import drawing
from runs.pages.calendar.page import ROWS, calendar_of
from runs.pages.calendar.views import COOKIE, viewers_zone
from runs.planning.usual import durations
from runs.scheduling import plan
from runs.scheduling.overlap import collisions
from runs.scheduling.shared_models import shared_models
from runs.scheduling.sources import follows_of, upcoming
from tests.helpers.pages import Person

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
UTC_ZONE = ZoneInfo("UTC")


def minutes(number):
    return timedelta(minutes=number)


def plans(*starts, takes=None):
    """(flow, minute), and how many minutes each flow takes."""
    flows = sorted({flow for flow, _ in starts})
    return {
        flow: plan.Planned(
            flow, sorted(NOON + minutes(at) for each, at in starts if each == flow), minutes((takes or {}).get(flow, 1))
        )
        for flow in flows
    }


@pytest.mark.parametrize(
    ("said", "starts", "takes", "expected"),
    [
        ("both at once", [(1, 0), (2, 0)], {1: 10, 2: 5}, {(1, 2): (0, 1)}),
        ("one within the other", [(1, 0), (2, 20)], {1: 60, 2: 5}, {(1, 2): (20, 1)}),
        ("one after the other", [(1, 0), (2, 10)], {1: 10, 2: 5}, {}),
        ("one before the other", [(2, 0), (1, 5)], {1: 10, 2: 5}, {}),
        ("nothing in common", [(1, 0), (4, 0)], {}, {}),
        ("others in common", [(1, 0), (2, 50), (3, 5)], {1: 10}, {(1, 3): (5, 1)}),
        ("one of the seldom meets three", [(1, 0), (2, 5), (2, 15), (2, 98)], {1: 99}, {(1, 2): (5, 1)}),
        ("every one of the seldom", [(1, 0), (1, 100), (2, 9), (2, 20), (2, 99)], {1: 10, 2: 2}, {(1, 2): (9, 2)}),
        ("not with itself", [(1, 0), (1, 5)], {1: 60}, {}),
    ],
)
def test_flows_that_build_the_same_collide_when_their_runs_overlap(said, starts, takes, expected):
    partners = {1: {2, 3}, 2: {1}, 3: {1}}
    made = collisions(plans(*starts, takes=takes), partners, NOON, NOON + minutes(200))
    assert {c.flows: (round((c.first - NOON) / minutes(1)), c.times) for c in made.pairs} == expected


def test_collisions_are_those_that_comparing_all_with_all_finds():
    chosen = random.Random(7)
    partners = {0: {1, 2}, 1: {0}, 2: {0, 3}, 3: {2}}
    for _ in range(300):
        takes = {flow: chosen.randrange(1, 9) for flow in range(5)}
        planned = plans(*{(chosen.randrange(5), chosen.randrange(200)) for _ in range(25)}, takes=takes)
        made = {c.flows: (c.first, c.times) for c in collisions(planned, partners, NOON, NOON + minutes(200)).pairs}
        slow = {}
        for one, other in ((0, 1), (0, 2), (2, 3)):
            if one in planned and other in planned:
                few, many = sorted((planned[one], planned[other]), key=lambda each: len(each.at))
                met = [(a, b) for a in few.at for b in many.at if a < many.ends(b) and b < few.ends(a)]
                if met:
                    slow[one, other] = (min(max(pair) for pair in met), len({a for a, _ in met}))
        assert made == slow


def test_a_collision_says_when_each_of_both_is_in_the_way():
    planned = plans((1, 0), (2, 10), (2, 50), (3, 12), takes={1: 60, 2: 20, 3: 1})
    partners = {1: {2}, 2: {1}}
    stretches = [plan.Span(NOON + minutes(10), NOON + minutes(30)), plan.Span(NOON + minutes(50), NOON + minutes(60))]
    made = collisions(planned, partners, NOON, NOON + minutes(200))
    assert [made.spans(flow) for flow in (1, 2, 3)] == [stretches, stretches, []]
    assert made.spans(1, minutes(20)) == stretches and len(made.spans(1, minutes(21))) == 1
    apart = plans((1, 0), (1, 100), (2, 10), (2, 90), takes={1: 20, 2: 20})
    made = collisions(apart, partners, NOON + timedelta(seconds=9), NOON + minutes(105))
    assert [(span.starts_at - NOON) // minutes(1) for span in made.spans(2)] == [10, 100]
    assert [(span.ends_at - span.starts_at) for span in made.spans(2)] == [minutes(10), minutes(5)]  # cut at the end


def test_one_that_ends_in_the_minute_in_which_the_other_starts_does_not_collide():
    planned = plans((1, 0), (2, 10.7), takes={1: 10.3, 2: 5})
    made = collisions(planned, {1: {2}, 2: {1}}, NOON, NOON + minutes(60))
    assert (made.pairs, made.more, made.spans(1)) == ([], 0, [])


def test_of_very_many_overlaps_the_longest_are_listed_exactly_and_all_are_counted():
    planned = plans(*((flow, 0) for flow in range(20)), takes={flow: 10 + flow for flow in range(20)})
    partners = {flow: set(range(20)) - {flow} for flow in range(20)}
    made = collisions(planned, partners, NOON, NOON + minutes(60))
    assert len(made.pairs) + made.more == 190 and made.pairs[0].flows == (18, 19)
    of_one = collisions(planned, partners, NOON, NOON + minutes(60), among={0})
    assert len(of_one.pairs) + of_one.more == 19


def test_an_assumed_duration_is_marked_as_assumed():
    planned = {1: plan.expected(1, [NOON], None), 2: plan.expected(2, [NOON + minutes(4)], minutes(1))}
    (pair,) = collisions(planned, {1: {2}, 2: {1}}, NOON, NOON + minutes(9)).pairs
    assert not pair.known and planned[1].takes == plan.ASSUMED


@pytest.mark.parametrize(("most", "expected"), [(1, [(5, 3), (0, 2)]), (2, [(5, 3)]), (3, [])])
def test_minutes_with_too_many_starts_are_listed_the_fullest_first(most, expected):
    planned = plans((1, 0), (2, 0), (1, 5), (2, 5.5), (3, 5.9), (3, 5.95), (3, 6))
    found = plan.crowds(planned.values(), most)
    assert [((each.at - NOON) // minutes(1), len(each.flows)) for each in found] == expected


@pytest.mark.parametrize(("length", "times"), [(4, 0), (5, 0), (6, 3), (60, 3)])
def test_a_flow_that_takes_longer_than_its_interval_runs_into_itself(length, times):
    found = plan.runs_into_itself(plans(*((1, start) for start in (0, 5, 10, 15)), takes={1: length})[1])
    assert (found.times if found else 0) == times


def test_starts_that_follow_each_other_closely_are_one_band():
    often = plans(*((1, start) for start in range(0, 24 * 60, 5)))[1]
    (band,) = plan.bands(often, minutes(15))
    assert (band.count, band.every, band.last) == (288, minutes(5), NOON + minutes(24 * 60 - 5))
    assert drawing.often(band) == "every 5 minutes, 288 runs"
    working_hours = plans(*((1, day * 1440 + start) for day in (0, 1) for start in range(0, 60, 10)))[1]
    assert [band.count for band in plan.bands(working_hours, minutes(15))] == [6, 6]
    hourly = plan.Planned(1, often.at[::12], minutes(1))
    assert [band.count for band in plan.bands(hourly, minutes(15))] == [1] * 24


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 11, 24), 24)])
def test_a_day_on_which_the_clocks_change_has_23_or_25_hours(day, hours):
    zone = ZoneInfo("Europe/Berlin")
    begins = datetime(*day, tzinfo=zone).astimezone(UTC)
    marks = drawing.days(begins - minutes(1), begins + timedelta(days=7), zone)
    assert [moment for moment, _ in marks[:2]] == [begins, begins + timedelta(hours=hours)]
    axis = drawing.Axis(begins - minutes(1), begins + timedelta(days=7), zone)
    first, second, third = (axis.x(moment) for moment, _ in marks[:3])
    assert (second - first) / (third - second) == pytest.approx(hours / 24)


def test_the_hours_of_the_axis_are_those_of_its_zone():
    axis = drawing.Axis(NOON, NOON + timedelta(days=1), ZoneInfo("Asia/Kathmandu"))  # 5 h 45 m ahead
    labels = {mark.at: mark.label for mark in axis.marks()}
    assert labels[NOON + minutes(15)] == ""  # at the very edge
    assert labels[NOON + minutes(195)] == "21:00"
    assert labels[NOON + minutes(375)] == "Tue 24 Nov"


@pytest.mark.parametrize(
    ("zone", "start"),
    [("UTC", NOON), ("Europe/Berlin", NOON), ("Europe/Berlin", datetime(2026, 3, 26, 3, 7, 11, 5, tzinfo=UTC))],
)
def test_the_calendar_shows_exactly_the_starts_that_happen(zone, start):
    chosen = random.Random(zone)
    fields = (
        ["*", "*/5", "0", "7", "0,30", "10-40/7"],
        ["*", "2", "*/6", "9-17", "0,2,3,23"],
        ["*", "*", "1", "24-28", "L", "LW", "*/2"],
        ["*", "*", "3,11", "JAN-NOV"],
        ["*", "*", "MON-FRI", "0", "7", "1#4", "5L"],
    )
    for _ in range(150):
        cron = " ".join(chosen.choice(field) for field in fields)
        until = start + timedelta(hours=chosen.choice([1, 24, 50, 168]))
        assert due_times_in(cron, zone, start, until) == due_times_between(cron, zone, start, until, 10**6)[0], cron


# --- with rows -------------------------------------------------------------------------------------------
@pytest.fixture
def shop(db):
    project = Project.objects.create(name="shop", path="/nowhere")
    return Environment.objects.create(project=project, name="main")


def flow_of(environment, name, cron="0 2 * * *", models=(), took=(), **fields):
    flow = Flow.objects.create(name=name, environment=environment, cron=cron, **fields)
    node = Node.objects.create(flow=flow, name="all")
    Task.objects.bulk_create(
        Task(node=node, unique_id=f"model.shop.{model}", identifier=f"marts.{model}", resource_type="model")
        for model in models
    )
    begun = timezone.now() - timedelta(days=2)
    Run.objects.bulk_create(
        Run(
            flow=flow,
            flow_name=name,
            trigger=Trigger.SCHEDULE,
            state="succeeded",
            started_at=begun,
            ended_at=begun + minutes(length),
        )
        for length in took
    )
    return flow


def shown(now=NOON, days=1, zone=UTC_ZONE, **kwargs):
    return calendar_of(drawing.Axis(now, now + timedelta(days=days), zone), now, **kwargs)


def names(calendar):
    return [line.flow.name for line in calendar.lines]


def test_starts_are_those_that_the_schedules_fire_with_their_delay(shop):
    chosen = random.Random(3)
    crons = ["* * * * *", "*/7 * * * *", "0 2 * * *", "30 9-17 * * MON-FRI", "0 0 24 * *", "5 4 * * SUN"]
    flows = [
        flow_of(shop, f"flow {n}", chosen.choice(crons), time_zone=chosen.choice(["UTC", "Asia/Tokyo"]), spread=n % 3)
        for n in range(20)
    ]
    until = NOON + timedelta(days=7)
    made = upcoming(flows, NOON, until, {}, {})
    for flow in flows:
        due_times, _ = due_times_between(flow.cron, flow.time_zone, NOON - flow.delay, until - flow.delay, 10**6)
        assert (made[flow.pk].at if flow.pk in made else []) == [due_time + flow.delay for due_time in due_times]


def test_a_start_planned_for_a_due_time_is_shown_and_replaces_that_of_the_schedule(shop):
    scheduled, alone = flow_of(shop, "Nightly"), flow_of(shop, "Now and then", cron="")
    for flow, hours in ((scheduled, 14), (scheduled, 3), (alone, 5), (alone, 30)):
        Tick.objects.create(flow=flow, due_at=NOON + timedelta(hours=hours), cause="once", outcome="planned")
    made = upcoming([scheduled, alone], NOON, NOON + timedelta(days=1), {}, {})
    assert [start - NOON for start in made[scheduled.pk].at] == [timedelta(hours=3), timedelta(hours=14)]
    assert [start - NOON for start in made[alone.pk].at] == [timedelta(hours=5)]


def test_a_flow_that_starts_after_others_starts_when_all_of_them_are_expected_to_be_over(shop):
    load, rates = flow_of(shop, "Load", "0 * * * *", took=[10]), flow_of(shop, "Rates", "0 */2 * * *", took=[25])
    both, then, never = (flow_of(shop, name, cron="", took=[5]) for name in ("Both", "Then", "Never"))
    halted = flow_of(shop, "Halted", cron="", paused=True)
    for flow, ups in ((both, [load, rates]), (then, [both]), (never, [load, halted]), (halted, [load])):
        Follow.objects.bulk_create(Follow(flow=flow, up=up) for up in ups)
    made = upcoming(list(Flow.objects.all()), NOON, NOON + timedelta(hours=5), durations(), follows_of())
    assert [at - NOON for at in made[both.pk].at] == [minutes(145), minutes(265)]
    assert [at - NOON for at in made[then.pk].at] == [minutes(150), minutes(270)]
    assert set(made) == {load.pk, rates.pk, both.pk, then.pk}
    calendar = shown()
    assert {line.flow.name: line.sentence for line in calendar.lines}["Both"] == "After Load and Rates"
    assert (calendar.paused, calendar.idle, calendar.unscheduled) == (1, 1, 0)


def test_the_usual_duration_is_the_median_of_the_last_twenty_runs_that_succeeded(shop):
    flow = flow_of(shop, "Nightly", took=[500] * 30 + [10] * 9 + [14] * 11)
    flow_of(shop, "New")
    failed = Run.objects.filter(flow=flow).order_by("-pk")[:11].values("pk")
    assert durations() == {flow.pk: minutes(14)}
    Run.objects.filter(pk__in=list(failed.values_list("pk", flat=True))).update(state="failed")
    other = flow_of(shop, "Other", took=[100] + [1] * 10 + [3] * 10)
    assert durations()[other.pk] == minutes(2)  # the oldest of 21 is left out
    assert durations()[flow.pk] == minutes(500)  # of 11 x 500 m and 9 x 10 m


def test_models_are_shared_within_an_environment_and_by_what_builds_them(shop):
    other = Environment.objects.create(project=shop.project, name="nightly")
    one, two = flow_of(shop, "one", models=["a", "b"]), flow_of(shop, "two", models=["b", "c"])
    flow_of(other, "elsewhere", models=["a", "b"])
    tests = flow_of(shop, "tests", models=["a"])
    tests.nodes.update(command="test")
    waits = flow_of(shop, "waits", models=["a"])
    Task.objects.filter(node__flow=waits).update(built_by="an earlier node")
    shared = shared_models()
    assert shared.partners() == {one.pk: {two.pk}, two.pk: {one.pk}}
    assert shared.models(one.pk, two.pk) == ["marts.b"]


def test_two_flows_that_build_the_same_models_at_the_same_time_are_described_in_words(shop, monkeypatch):
    flow_of(shop, "Daily shop", models=["a", "b", "c", "d"], took=[12])
    flow_of(shop, "Hourly orders", "5 * * * *", models=["a", "b", "c", "d"], took=[2])
    flow_of(shop, "Beside", models=["z"], took=[12])
    calendar = shown(days=7)
    (clash,) = calendar.trouble.clashes
    assert {clash.one.name, clash.other.name} == {"Daily shop", "Hourly orders"}
    assert (clash.models, clash.more) == (["marts.a", "marts.b", "marts.c"], 1)
    assert (clash.first, clash.times, clash.known) == (datetime(2026, 11, 24, 2, 5, tzinfo=UTC), 7, True)
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    page = Person("ada", "flows.view_flow").open("/calendar/?days=7")
    assert page.status == 200 and not page.inline
    assert "build the same models at the same time" in page.html and "and 1 more. 7 times" in page.html
    assert page.html.count('<g class="cal-clash"><title>') == 14
    assert len(shown(days=7, query="beside").trouble.clashes) == 0


def test_crowded_minutes_and_flows_that_overlap_with_themselves_are_reported(shop, settings):
    settings.CALENDAR_CROWD = 3
    for number in range(4):
        flow_of(shop, f"flow {number}", took=[1])
    flow_of(shop, "Slow", "*/5 * * * *", took=[12], overlap="queue")
    trouble = shown().trouble
    (full,) = trouble.crowds
    assert (full.at, full.count, full.more) == (NOON + timedelta(hours=14), 5, 2)
    (overrun,) = trouble.overruns
    assert (overrun.flow.name, overrun.times, overrun.usual) == ("Slow", 287, "12 m")
    settings.CALENDAR_CROWD = 5
    assert not shown().trouble.crowds
    assert "start the new run afterwards" in Person("ada", "flows.view_flow").open("/calendar/").html


def test_a_flow_of_every_minute_is_one_shape_with_its_count(shop):
    flow_of(shop, "Busy", "* * * * *", took=[0.5])
    page = Person("ada", "flows.view_flow").open("/calendar/?days=7")
    row = re.search(r"<tbody>(.*?)</tbody>", page.html, re.S).group(1)
    assert row.count("<rect") == 1 and "every minute, 10,080 runs, usually 30 s" in row


def test_a_bar_says_when_and_how_long_and_that_it_is_a_guess_where_it_is(shop):
    flow_of(shop, "Known", took=[12])
    flow_of(shop, "New", "0 3 * * *")
    known, new = shown().lines
    assert "<title>02:00-02:12, usually 12 m</title>" in known.shapes
    assert "<title>03:00-03:05, not succeeded yet</title>" in new.shapes and 'fill="url(#cal-unknown)"' in new.shapes


def test_paused_flows_and_those_without_a_schedule_are_counted_not_drawn(shop):
    flow_of(shop, "Going")
    flow_of(shop, "Paused", paused=True)
    flow_of(shop, "By hand", cron="")
    flow_of(shop, "Yearly", "0 0 1 7 *")
    calendar = shown()
    assert names(calendar) == ["Going"]
    assert (calendar.paused, calendar.unscheduled, calendar.idle) == (1, 1, 1)
    page = Person("ada", "flows.view_flow").open("/calendar/")
    assert "1 paused</a>, 1 without a schedule, 1 due later" in page.html


def test_without_any_schedule_the_page_says_what_to_do(shop):
    ada = Person("ada", "flows.view_flow")
    assert "No flow is scheduled" in ada.open("/calendar/").html
    flow_of(shop, "Yearly", f"0 0 1 {(timezone.now().month + 5) % 12 + 1} *")
    assert "Nothing starts in the next 24 hours" in ada.open("/calendar/").html
    assert "No matches" in ada.open("/calendar/?q=zebra").html


def test_the_environment_of_the_top_bar_and_the_search_narrow_it(shop):
    other = Environment.objects.create(project=shop.project, name="nightly")
    flow_of(shop, "Orders of the day")
    flow_of(other, "Orders of the night")
    assert names(shown(environment=other)) == ["Orders of the night"]
    assert names(shown(query="DAY orders")) == ["Orders of the day"]


def test_times_are_in_the_zone_that_the_browser_told():
    request = RequestFactory().get("/calendar/")
    for told, zone in ((None, "UTC"), ("Europe/Berlin", "Europe/Berlin"), ("Asia%2FTokyo", "Asia/Tokyo"), ("x", "UTC")):
        request.COOKIES = {} if told is None else {COOKIE: told}
        assert str(viewers_zone(request)) == zone


def test_the_next_starts_are_listed_by_day_and_all_on_request(shop):
    for number in range(30):
        flow_of(shop, f"flow {number}", f"{number} 3,20 * * *")
    calendar = shown()
    assert [str(day) for day, _ in calendar.days] == ["2026-11-23", "2026-11-24"]
    assert sum(len(entries) for _, entries in calendar.days) == 40 and calendar.left_out == 20
    assert shown(everything=True).left_out == 0


def test_a_calendar_of_thirty_flows_takes_as_many_queries_as_one_of_three(shop):
    ada = Person("ada", "flows.view_flow")

    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert ada.client.get("/calendar/?days=7").status_code == 200
        return len(captured)

    counted = []
    for number in range(30):
        flow_of(shop, f"flow {number}", models=["a", "b"], took=[3, 4])
        if number in (2, 29):
            counted.append(queries())
    assert counted[0] == counted[1]
    with CaptureQueriesContext(connection) as captured:
        shown(days=7)
    assert len(captured) == 6


def test_many_flows_come_on_pages(shop):
    flows = Flow.objects.bulk_create(
        Flow(name=f"flow {n}", environment=shop, cron="0 2 * * *") for n in range(ROWS + 1)
    )
    assert len(shown().lines) == ROWS and len(shown(page="2").lines) == 1
    assert shown().trouble.crowds[0].count == len(flows)


def test_people_who_cannot_see_flows_do_not_see_the_calendar(shop):
    assert Person("eve", "runs.view_run").open("/calendar/").status == 403
