"""The words of a schedule mean what it does: a reader that knows only English finds the very times in them."""

import random
import re
from datetime import date, datetime, timedelta

import pytest
from cronsim import CronSim

from flows.scheduling.cron import CronError, describe, normalize

pytestmark = pytest.mark.exhaustive

MONTHS = [
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]  # as date.weekday() numbers them
NTH = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
FIRST = date(2027, 1, 1)
CALENDAR = [FIRST + timedelta(days=number) for number in range(2 * 365)]


def listed(text, names=None):
    """The numbers of "1, 3 to 5 and 9", or of names."""
    known = names or {str(number): number for number in range(60)}
    found = set()
    for part in re.split(r", | and | or ", text):
        first, _, last = part.partition(" through " if " through " in part else " to ")
        found |= set(range(known[first], known[last or first] + 1))
    return found


def times_in(words):
    """(minutes of the day, the rest of the sentence)."""
    every = re.match(r"every (?:(\d+) )?(minute|hour|day)s?", words, re.I)
    clock = r"(\d\d):(\d\d)"
    if span := re.match(rf"every (?:(\d+) )?(minute|hour)s? from {clock} to {clock}", words, re.I):
        step = int(span[1] or 1) * (60 if span[2].lower() == "hour" else 1)
        begin, end = int(span[3]) * 60 + int(span[4]), int(span[5]) * 60 + int(span[6])
        return set(range(begin, end + 1, step)), words[span.end() :]
    if at := re.match(rf"at {clock}(?:(?:, | and ){clock})*(?=, |$)", words, re.I):
        return {int(hour) * 60 + int(minute) for hour, minute in re.findall(clock, at[0])}, words[at.end() :]
    if of := re.match(
        r"(?:at minutes? ([\d, and to]+?)|every minute) of (?:every hour|the hours? ([\d, and to]+))(?=, |$)",
        words,
        re.I,
    ):
        minutes = listed(of[1]) if of[1] else set(range(60))
        hours = listed(of[2]) if of[2] else set(range(24))
        return {hour * 60 + minute for hour in hours for minute in minutes}, words[of.end() :]
    if every and every[2] != "day":
        rest, step = words[every.end() :], int(every[1] or 1)
        past = re.match(r", (?:(\d+) minutes? past|from minute (\d+) of the hour)", rest)
        offset = int(past[1] or past[2]) if past else 0
        found = range(offset, 1440, step * (60 if every[2] == "hour" else 1))
        return set(found), rest[past.end() if past else 0 :]
    days, _, at = words.rpartition(" at ")  # "Every Monday at 06:30", as the dropdowns have it
    hour, _, minute = at.partition(":")
    return {int(hour) * 60 + int(minute)}, ", " + days


def is_last(day, step):
    return (day + timedelta(days=step)).month != day.month


def of_month(text):
    """A test of dates from "days 1 to 7 and the last day of the month"."""
    text = re.sub(" of (the|every) month$", "", text)
    weekday = re.search("(?:, | and | or )?the last day from Monday to Friday$", text)
    text = text[: weekday.start()] if weekday else text
    last = re.search("(?:, | and | or )?the last day$", text)
    text = text[: last.start()] if last else text
    numbers = listed(re.sub("^days? ", "", text)) if text else set()

    def fits(day):
        working = day.weekday() < 5 and all(
            later.weekday() > 4 or later.month != day.month for later in (day + timedelta(days=n) for n in (1, 2, 3))
        )
        return day.day in numbers or bool(last and is_last(day, 1)) or bool(weekday and working)

    return fits


def of_week(text):
    """A test of dates from "Monday", "every Monday and the last Friday of the month"."""
    text = text.removesuffix(" of the month").removeprefix("every ")
    numbered = [(NTH.get(nth, nth), DAYS.index(day)) for nth, day in re.findall(r"the (\w+) (\w+day)", text)]
    plain = re.sub(r"(?:, | and | or )?the \w+ \w+day", "", text)
    days = listed(plain, {name: number for number, name in enumerate(DAYS)}) if plain else set()

    def fits(day):
        if day.weekday() in days:
            return True
        nth = (day.day + 6) // 7
        return any(day.weekday() == each and (n == nth or (n == "last" and is_last(day, 7))) for n, each in numbered)

    return fits


def days_in(rest):
    """A test of dates from what stands behind the times."""
    months = set(range(1, 13))
    if found := re.search(r", in ([A-Z].*)$", rest):
        months = listed(found[1], {name: number for number, name in enumerate(MONTHS, 1)})
        rest = rest[: found.start()]
    rest = re.sub("^, ", "", rest)
    rest = re.sub("^on ", "", rest, flags=re.I) if not rest.startswith("Every") else rest[6:]
    if rest in ("", "day", "day of the week"):
        return lambda day: day.month in months
    if " if it is " in rest:
        week, _, month = rest.partition(" if it is ")
        first, second = of_week(week), of_month(month)
        return lambda day: day.month in months and first(day) and second(day)
    if " or on " in rest:
        month, _, week = rest.partition(" or on ")
        first, second = of_month(month), of_week(week)
        return lambda day: day.month in months and (first(day) or second(day))
    names_weekdays = re.search("[a-z]day(,| |$)", rest.replace("the last day from Monday to Friday", ""))
    test = of_week(rest) if names_weekdays else of_month(rest)
    return lambda day: day.month in months and test(day)


def field(dice, low, high, more=()):
    """A field as people and generators write them."""
    number = lambda: str(dice.randint(low, high))  # noqa: E731
    ways = (
        lambda: "*",
        lambda: "*",
        number,
        number,
        lambda: f"*/{dice.choice((2, 3, 5, 7, 10, 13, 15, 20, 31, 90))}",
        lambda: "-".join(str(each) for each in sorted((dice.randint(low, high), dice.randint(low, high)))),
        lambda: (
            "-".join(map(str, sorted((dice.randint(low, high), dice.randint(low, high))))) + f"/{dice.randint(1, 6)}"
        ),
        lambda: ",".join(dict.fromkeys(number() for _ in range(dice.randint(2, 4)))),
        lambda: dice.choice(more) if more else number(),
        lambda: f"{dice.choice(more)},{number()}" if more else "*",
    )
    return dice.choice(ways)()


def test_the_words_of_thousands_of_lines_mean_the_times_at_which_they_fire():
    dice, seen, short = random.Random(7), 0, 0
    while seen < 4000:
        typed = " ".join(
            (
                field(dice, 0, 59),
                field(dice, 0, 23),
                field(dice, 1, 31, ("L", "LW", "L,LW")),
                field(dice, 1, 12),
                field(dice, 0, 7, ("5L", "1#1", "0#5", "7L,1", "1#1,3#3", "MON-FRI")),
            )
        )
        try:
            cron = normalize(typed)
        except CronError:
            continue
        seen += 1
        words = describe(cron)
        if words == cron:
            continue
        short += 1
        rules = CronSim(cron, datetime(2027, 1, 1))
        minutes, rest = times_in(words)
        assert minutes == {hour * 60 + minute for hour in rules.hours for minute in rules.minutes}, (cron, words)
        fits = days_in(rest)
        wrong = [day for day in CALENDAR if fits(day) != (day.month in rules.months and rules.match_day(day))]
        assert not wrong, (cron, words, wrong[:3])
    assert short > 0.9 * seen  # words that are too long are rare, or nobody reads them
