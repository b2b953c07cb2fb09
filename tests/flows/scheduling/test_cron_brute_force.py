"""Due times against a brute-force scan of every minute: 12 expressions in 6 zones with odd clocks, over two years.

The scan knows two rules and nothing of cronsim. An expression with a fixed minute and hour is about the wall clock:
each date and time that fits happens once; one that spring leaves out comes at the next minute that exists, one that
autumn repeats comes the first time. Any other expression is about real minutes: each whose wall clock fits.
"""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from flows.scheduling.cron import due_times_between, normalize

pytestmark = pytest.mark.exhaustive

FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
ZONES = [
    *("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Chatham"),
    *("America/Santiago", "Antarctica/Troll"),
]
EXPRESSIONS = [
    *("0 2 * * *", "30 2 * * *", "15 0 * * *", "0 3 1 * *", "45 1 * * 0", "0 2 13 * 5"),
    *("*/15 * * * *", "0 * * * *", "30 */2 * * *", "*/20 1-3 * * *", "10 2 29 2 *", "5 4 1-7 3,10 *"),
]


@cache
def minutes(zone):
    """Every real minute of the two years with its wall clock: (timestamp, minute, hour, day, month, weekday)."""
    there, moment, made = ZoneInfo(zone), FIRST, []
    while moment < LAST:
        local = moment.astimezone(there)
        made.append((moment, local.minute, local.hour, local.day, local.month, (local.weekday() + 1) % 7))
        moment += timedelta(minutes=1)
    return made


def values(field, low, high):
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            first, last = low, high
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def fits(cron):
    fields = cron.split()
    minute, hour, day, month, weekday = (
        values(field, *span) for field, span in zip(fields, [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)], strict=True)
    )
    either = fields[2] != "*" and fields[4] != "*"

    def test(mi, ho, da, mo, wd):
        days = (da in day or wd in weekday) if either else (da in day and wd in weekday)
        return mi in minute and ho in hour and mo in month and days

    return test


def scanned(cron, zone):
    test = fits(cron)
    fixed = not cron.split()[0].startswith("*") and not cron.split()[1].startswith("*")
    if not fixed:
        return [row[0] for row in minutes(zone) if test(*row[1:])]
    there = ZoneInfo(zone)
    stamps = [row[0] for row in minutes(zone)]
    made, wall = [], FIRST.astimezone(there).replace(tzinfo=None)
    end = LAST.astimezone(there).replace(tzinfo=None)
    hours = sorted(values(cron.split()[1], 0, 23))
    marks = sorted(values(cron.split()[0], 0, 59))
    day = wall.replace(hour=0, minute=0)
    while day < end:
        for hour in hours:
            for minute in marks:
                if not test(minute, hour, day.day, day.month, (day.weekday() + 1) % 7):
                    continue
                local = day.replace(hour=hour, minute=minute, tzinfo=there)
                moment = local.astimezone(UTC)
                if moment.astimezone(there).replace(tzinfo=None) != local.replace(tzinfo=None):  # left out by spring
                    gap = next(
                        at
                        for at in stamps[max(0, bisect_left(stamps, moment - timedelta(hours=3))) :]
                        if at.astimezone(there).replace(tzinfo=None) > local.replace(tzinfo=None)
                    )
                    moment = gap
                if FIRST < moment < LAST and (not made or moment != made[-1]):
                    made.append(moment)
        day += timedelta(days=1)
    return made


@pytest.mark.parametrize("zone", ZONES)
def test_two_years_of_due_times_are_those_of_the_scan(zone):
    for cron in EXPRESSIONS:
        due_times, more = due_times_between(cron, zone, FIRST, LAST - timedelta(minutes=1), 10**6)
        wanted = [moment for moment in scanned(cron, zone) if moment > FIRST]
        assert not more
        assert due_times == wanted, (cron, sorted(set(due_times) ^ set(wanted))[:5])


def test_the_preview_and_what_fires_are_the_same():
    for cron in EXPRESSIONS:
        preview = list(islice(CronSim(normalize(cron), FIRST.astimezone(ZoneInfo("Europe/Berlin"))), 5))
        due_times, _ = due_times_between(cron, "Europe/Berlin", FIRST, LAST + timedelta(days=20_000), 5)
        assert [moment.astimezone(UTC) for moment in preview] == due_times
