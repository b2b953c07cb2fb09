"""Schedules as people type them: presets, expressions, words, surprises and next times."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.scheduling.cron import (
    EVERY_HOURS,
    EVERY_MINUTES,
    MACROS,
    CronError,
    Preset,
    describe,
    next_times,
    normalize,
    preset_of,
    surprises,
    zone_of,
)
from tests.helpers.pages import Person, sample_flow

SUNDAY = datetime(2026, 11, 22, tzinfo=UTC)

PRESETS = st.one_of(
    st.builds(Preset, frequency=st.just("minute"), every=st.sampled_from(EVERY_MINUTES)),
    st.builds(Preset, frequency=st.just("hour"), every=st.sampled_from(EVERY_HOURS), minute=st.integers(0, 59)),
    st.builds(Preset, frequency=st.just("day"), minute=st.integers(0, 59), hour=st.integers(0, 23)),
    st.builds(
        Preset,
        frequency=st.just("week"),
        minute=st.integers(0, 59),
        hour=st.integers(0, 23),
        weekdays=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    ),
    st.builds(
        Preset, frequency=st.just("month"), minute=st.integers(0, 59), hour=st.integers(0, 23), day=st.integers(1, 32)
    ),
)


@given(PRESETS)
def test_a_schedule_chosen_in_the_dropdowns_is_shown_in_them_again(preset):
    cron = normalize(preset.cron)
    assert cron == preset.cron
    back = preset_of(cron)
    assert back is not None and back.cron == cron
    assert describe(cron) and len(next_times(cron, "UTC", 5, SUNDAY)) == 5


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 2 * * *", "Every day at 02:00"),
        ("0 */6 * * *", "Every 6 hours"),
        ("* * * * *", "Every minute"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("30 * * * *", "Every hour, 30 minutes past"),
        ("30 6 * * 1,4", "Every Monday and Thursday at 06:30"),
        ("30 6 * * 4,1", "Every Monday and Thursday at 06:30"),
        ("0 2 * * 7", "Every Sunday at 02:00"),
        ("0 2 1 * *", "On day 1 of every month at 02:00"),
        ("0 2 L * *", "On the last day of every month at 02:00"),
        ("@daily", "Every day at 00:00"),
        ("0 9-17 * * 1-5", "Every hour from 09:00 to 17:00, Monday through Friday"),
        ("0 2 13 * 5", "At 02:00, on day 13 of the month or on Friday"),
        ("0 0 1-7 * MON", "At 00:00, on days 1 to 7 of the month or on Monday"),
        ("  0   2 * *   * ", "Every day at 02:00"),
        ("*/90 * * * *", "Every hour"),
        ("*/31 * * * *", "At minutes 0 and 31 of every hour"),
        ("0 9 * * 5L,1", "At 09:00, on every Monday and the last Friday of the month"),
        ("0 9 * * 1#1,3#3", "At 09:00, on the first Monday and the third Wednesday of the month"),
        ("0 9 1-7 * */7", "At 09:00, on Sunday if it is day 1 to 7 of the month"),
        ("0 6 1 */13 *", "At 06:00, on day 1 of the month, in January"),
        ("0 9 1-31 * 1", "At 09:00"),
        ("0 9 L,LW * *", "At 09:00, on the last day and the last day from Monday to Friday of the month"),
        ("1,4,9,17,29,45 1,3,5,8,13,21 1,3,5,9,11,13,15,17,21 1,3,5,7,9 1,3,5", None),
    ],
)
def test_an_expression_in_words(cron, words):
    assert describe(cron) == (words or cron)  # what has no short words is shown as it is


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "five fields"),
        ("0 2 * *", "4 fields, but five are needed"),
        ("0 0 2 * * *", "6 fields"),
        ("60 * * * *", "minute, goes from 0 to 59"),
        ("0 24 * * *", "hour, goes from 0 to 23"),
        ("0 2 0 * *", "day of the month"),
        ("0 2 * 13 *", "month, goes from 1 to 12"),
        ("0 2 * * 8", "day of the week"),
        ("0 2 * * MOO", "day of the week"),
        ("0 2 31 2 *", "Feb has no day 31"),
        ("0 2 31 4,6 *", "Apr and Jun have no day 31"),
        ("@reboot", "@reboot is not supported"),
        ("5-1 * * * *", "minute"),
        ("9" * 201, "at most 200"),
        ("99999999999999999999 * * * *", "minute"),
        ("0 2 ٣١ * *", "day"),
        ("'; drop table flows; --", "minute"),
    ],
)
def test_what_is_wrong_is_said_in_words(typed, said):
    with pytest.raises(CronError, match=said):
        normalize(typed)


@given(st.text(max_size=60))
def test_any_text_typed_as_a_schedule_is_understood_or_refused(typed):
    try:
        cron = normalize(typed)
    except CronError:
        return
    assert describe(cron) and surprises(cron) is not None
    next_times(cron, "UTC", 2, SUNDAY)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "cron", ["0 9 1-7 * */7", "0 6 1 */13 *", "1,4,9,17,29,45 1,3,5,8,13,21 1,3,5,9,11,13,15,17 * 1,3,5"]
)
def test_a_schedule_that_is_accepted_is_shown_on_every_page(cron):
    flow = sample_flow("Odd")
    ada = Person("ada", "everything")
    page = ada.open(f"/flows/{flow.pk}/settings/")
    ada.post(page, page.form("settings"), {"write_cron": "on", "cron": cron})
    flow.refresh_from_db()
    assert flow.cron == cron
    for address in ("/flows/", f"/flows/{flow.pk}/settings/", f"/flows/{flow.pk}/due/", "/calendar/", "/"):
        assert ada.open(address).status == 200, address
    assert cron in ada.open("/flows/").html or describe(cron) in ada.open("/flows/").html


@given(st.lists(st.text("0123456789*,-/LW#?", max_size=6), min_size=5, max_size=5).map(" ".join))
def test_any_text_that_looks_like_cron_is_understood_or_refused(typed):
    try:
        cron = normalize(typed)
    except CronError:
        return
    assert describe(cron)
    assert normalize(cron) == cron


def test_two_day_fields_mean_either_and_the_words_the_warning_and_the_times_say_so():
    times = next_times("0 2 13 * 5", "UTC", 5, SUNDAY)
    assert {(moment.weekday() == 4, moment.day == 13) for moment in times} == {(True, False), (False, True)}
    assert " or " in describe("0 2 13 * 5") and "and also on those days" in surprises("0 2 13 * 5")[0]


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("*/7 * * * *", "not a multiple of 7"),
        ("0 */5 * * *", "not a multiple of 5"),
        ("0 2 31 * *", "Months without a day 31"),
        ("0 2 29 2 *", "leap years"),
        ("0 0 */2 * 1", "both day fields must match"),
        ("0 9 1 * */2", "both day fields must match"),
        ("0 9 1-7 * */7", "both day fields must match"),
    ],
)
def test_surprising_expressions_are_explained(cron, said):
    assert said in " ".join(surprises(cron))


def test_usual_expressions_surprise_nobody():
    for cron in ("0 2 * * *", "*/15 * * * *", "0 9-17 * * 1-5", "0 2 1 * *", *MACROS.values()):
        assert surprises(cron) == []


def test_a_time_that_spring_leaves_out_comes_at_the_next_one_that_exists_and_only_once():
    before = datetime(2027, 3, 27, 12, tzinfo=UTC)
    first, second = next_times("30 2 * * *", "Europe/Berlin", 2, before)
    assert first.isoformat() == "2027-03-28T03:00:00+02:00" and second.isoformat() == "2027-03-29T02:30:00+02:00"


def test_a_time_that_autumn_repeats_comes_once_and_every_hour_comes_every_real_hour():
    before = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)
    assert [m.day for m in next_times("30 2 * * *", "Europe/Berlin", 3, before)] == [25, 26, 27]
    hours = [moment.astimezone(UTC) for moment in next_times("0 * * * *", "Europe/Berlin", 5, before)]
    assert {b - a for a, b in pairwise(hours)} == {timedelta(hours=1)}


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "Europe/Berlin\0", "x" * 300])
def test_a_time_zone_that_does_not_exist_is_refused(name):
    with pytest.raises(CronError, match="Unknown time zone"):
        zone_of(name)
