"""A cron expression in words, made of the very sets of minutes, hours and days by which it fires. Pure.

Words that are made of how an expression is written can be untrue (*/90 fires every hour, `5L,1` every Monday); these
cannot. The rules are those of cronsim: a day field that begins with * and the other must both fit, else one of two
restricted fields is enough.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cronsim import CronSim

LONGEST = 160  # characters of a sentence that somebody reads
MOST_TIMES = 6  # of a day that are listed one by one
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")  # as cron numbers them
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", CronSim.LAST: "last"}
_LAST_DAY, _LAST_WEEKDAY = "the last day", "the last day from Monday to Friday"


@dataclass(frozen=True)
class Fields:
    """What an expression fires at. Weekdays are 0 (Sunday) to 6; `nth` pairs one with its number in the month."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]  # 1 to 31; empty where the day of the month does not matter
    last_days: tuple[str, ...]  # in words
    months: tuple[int, ...]  # empty: all
    weekdays: tuple[int, ...]
    nth: tuple[tuple[int, int], ...]
    both: bool  # whether both day fields must fit, not either

    @property
    def of_month(self) -> bool:
        """Whether the day of the month matters."""
        return bool(self.days or self.last_days)

    @property
    def of_week(self) -> bool:
        """Whether the day of the week matters."""
        return bool(self.weekdays or self.nth)


def fields_of(cron: str) -> Fields:
    """When an accepted expression fires. In: five fields, as `flows.scheduling.cron.normalize` leaves them."""
    rules = CronSim(cron, datetime(2024, 1, 1))  # noqa: DTZ001 - only its sets are read
    days = {day for day in rules.days if isinstance(day, int) and day > 0}
    last = [
        words
        for mark, words in ((CronSim.LAST, _LAST_DAY), (CronSim.LAST_WEEKDAY, _LAST_WEEKDAY))
        if mark in rules.days
    ]
    weekdays = {day % 7 for day in rules.weekdays if isinstance(day, int)}
    pairs = {(day[0] % 7, day[1]) for day in rules.weekdays if isinstance(day, tuple)}
    nth = sorted(pair for pair in pairs if pair[0] not in weekdays)
    any_day, any_weekday = len(days) == 31, len(weekdays) == 7
    if not rules.day_and and (any_day or any_weekday):  # either is enough, and one always fits
        any_day = any_weekday = True
    return Fields(
        minutes=tuple(sorted(rules.minutes)),
        hours=tuple(sorted(rules.hours)),
        days=() if any_day else tuple(sorted(days)),
        last_days=() if any_day else tuple(last),
        months=() if len(rules.months) == 12 else tuple(sorted(rules.months)),
        weekdays=() if any_weekday else tuple(sorted(weekdays)),
        nth=() if any_weekday else tuple(nth),
        both=rules.day_and,
    )


def sentence(fields: Fields) -> str:
    """It in words, "Every 15 minutes from 09:00 to 17:45, Monday through Friday"; "" where that would be too long."""
    parts = [_times(fields.minutes, fields.hours), _days(fields)]
    if fields.months:
        parts.append(f"in {_and(_runs(fields.months, lambda month: MONTHS[month - 1]))}")
    words = ", ".join(part for part in parts if part)
    return words[:1].upper() + words[1:] if len(words) <= LONGEST else ""


def _times(minutes: Sequence[int], hours: Sequence[int]) -> str:
    every, steps = _every(minutes), _progression(hours)
    if len(hours) == 24 and every:
        return every + (f", from minute {minutes[0]} of the hour" if minutes[0] else "")
    if len(minutes) == 1 and len(hours) == 24:
        return f"every hour{_past(minutes[0])}"
    if len(minutes) == 1 and steps and hours[0] == 0 and 24 % steps == 0 and len(hours) == 24 // steps > 1:
        return f"every {steps} hours{_past(minutes[0])}"
    if len(minutes) == 1 and steps and len(hours) > 2:
        each = "every hour" if steps == 1 else f"every {steps} hours"
        return f"{each} from {_clock(hours[0], minutes[0])} to {_clock(hours[-1], minutes[0])}"
    if len(minutes) * len(hours) <= MOST_TIMES:
        return f"at {_and([_clock(hour, minute) for hour in hours for minute in minutes])}"
    if every and (steps == 1 or len(hours) == 1):
        return f"{every} from {_clock(hours[0], minutes[0])} to {_clock(hours[-1], minutes[-1])}"
    marks = _and(_runs(minutes, str))
    words = f"at minute{'s' if len(minutes) > 1 else ''} {marks}" if len(minutes) < 60 else "every minute"
    if len(hours) == 24:
        return f"{words} of every hour"
    return f"{words} of the hour{'s' if len(hours) > 1 else ''} {_and(_runs(hours, str))}"


def _every(minutes: Sequence[int]) -> str:
    """Words for minutes that have one distance all round the clock; "" for others."""
    if len(minutes) == 60:
        return "every minute"
    step = _progression(minutes)
    whole = step and len(minutes) > 1 and 60 % step == 0 and len(minutes) == 60 // step
    return f"every {step} minutes" if whole else ""


def _progression(values: Sequence[int]) -> int:
    """The distance that all of them have; 0 where there is none."""
    distances = {later - one for one, later in pairwise(values)}
    return distances.pop() if len(distances) == 1 else 0


def _past(minute: int) -> str:
    return f", {minute} minute{'' if minute == 1 else 's'} past" if minute else ""


def _clock(hour: int, minute: int) -> str:
    return f"{hour:02}:{minute:02}"


def _days(fields: Fields) -> str:
    if not fields.of_month and not fields.of_week:
        return ""
    if not fields.of_week:
        return f"on {_of_month(fields, _and)}"
    if not fields.of_month:
        words = _of_week(fields, _and)
        return words if "through" in words and "," not in words and " and " not in words else f"on {words}"
    if fields.both:
        return f"on {_of_week(fields, _or)} if it is {_of_month(fields, _or)}"
    return f"on {_of_month(fields, _and)} or on {_of_week(fields, _and)}"


def _of_month(fields: Fields, joined: Callable[[Sequence[str]], str]) -> str:
    words = [*_runs(fields.days, str), *fields.last_days]
    if fields.days:
        words[0] = f"day{'s' if len(fields.days) > 1 and joined is _and else ''} {words[0]}"
    return f"{joined(words)} of the month"


def _of_week(fields: Fields, joined: Callable[[Sequence[str]], str]) -> str:
    days = [(day or 7) for day in fields.weekdays]  # the week begins on Monday
    words = _runs(sorted(days), lambda day: DAYS[day % 7], "through") if days else []
    if not fields.nth:
        return joined(words)
    if words:
        words[0] = f"every {words[0]}"
    return f"{joined([*words, *(f'the {_NTH[number]} {DAYS[day]}' for day, number in fields.nth)])} of the month"


def _runs(values: Sequence[int], shown: Callable[[int], str], to: str = "to") -> list[str]:
    """Values in words, three and more in a row as "9 to 17"."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return [
        words
        for run in runs
        for words in ([f"{shown(run[0])} {to} {shown(run[-1])}"] if len(run) > 2 else map(shown, run))
    ]


def _and(words: Sequence[str]) -> str:
    return _joined(words, "and")


def _or(words: Sequence[str]) -> str:
    return _joined(words, "or")


def _joined(words: Iterable[str], last_word: str) -> str:
    *most, last = words
    return f"{', '.join(most)} {last_word} {last}" if most else last
