"""When a flow is due: presets to cron and back, what an expression means in words, and its next times. Pure.

The rules are cron's own (crontab(5)), as cronsim computes them: five fields, and where both day fields are
restricted either of them is enough. The words, the preview and what fires come from here, so they agree.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from flows.scheduling.cron_words import fields_of, sentence

Frequency = Literal["minute", "hour", "day", "week", "month"]
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")  # as ISO 8601 has them
# Those that divide an hour or a day evenly: with others the last interval of the hour or day is a shorter one.
EVERY_MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
EVERY_HOURS = (1, 2, 3, 4, 6, 8, 12)
LONGEST = 200
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = {
    "minute": "The first field, the minute, goes from 0 to 59",
    "hour": "The second field, the hour, goes from 0 to 23",
    "day-of-month": "The third field, the day of the month, goes from 1 to 31, L for the last day of a month",
    "month": "The fourth field, the month, goes from 1 to 12 or JAN to DEC",
    "day-of-week": "The fifth field, the day of the week, goes from 0 (Sunday) to 7 (Sunday again) or SUN to SAT",
}
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class CronError(ValueError):
    """An expression that cannot be used; the message says what is wrong with it and what to do."""


@dataclass(frozen=True)
class Preset:
    """What the dropdowns of the basic mode say; `every` counts minutes or hours, `weekdays` are 0 (Monday) to 6."""

    frequency: Frequency = "day"
    every: int = 1
    minute: int = 0
    hour: int = 0
    weekdays: tuple[int, ...] = (0,)
    day: int = 1

    @property
    def cron(self) -> str:
        """The same as an expression."""
        every = f"*/{self.every}" if self.every > 1 else "*"
        match self.frequency:
            case "minute":
                return f"{every} * * * *"
            case "hour":
                return f"{self.minute} {every} * * *"
            case "day":
                return f"{self.minute} {self.hour} * * *"
            case "week":
                days = ",".join(sorted({str((day + 1) % 7) for day in self.weekdays}))
                return f"{self.minute} {self.hour} * * {days}"
            case "month":
                return f"{self.minute} {self.hour} {'L' if self.day > 31 else self.day} * *"


def preset_of(cron: str) -> Preset | None:
    """The dropdowns that say the same as an expression; None where they cannot."""
    try:
        minute, hour, day, month, weekday = normalize(cron).split()
    except CronError:
        return None
    for preset in _candidates(minute, hour, day, weekday):
        if month == "*" and preset.cron == f"{minute} {hour} {day} {month} {weekday}":
            return preset
    return None


def _candidates(minute: str, hour: str, day: str, weekday: str) -> Iterator[Preset]:
    step = {field: int(field[2:]) for field in (minute, hour) if re.fullmatch(r"\*/\d{1,2}", field)} | {"*": 1}
    at, on = _number(minute), _number(hour)
    if step.get(minute) in EVERY_MINUTES:
        yield Preset("minute", every=step[minute])
    if at is not None and step.get(hour) in EVERY_HOURS:
        yield Preset("hour", every=step[hour], minute=at)
    if at is None or on is None:
        return
    yield Preset("day", minute=at, hour=on)
    if re.fullmatch(r"[0-6](,[0-6])*", weekday):
        days = sorted((int(number) - 1) % 7 for number in weekday.split(","))
        yield Preset("week", minute=at, hour=on, weekdays=tuple(days))
    if (number := 32 if day == "L" else _number(day)) is not None:
        yield Preset("month", minute=at, hour=on, day=number)


def _number(field: str) -> int | None:
    return int(field) if re.fullmatch(r"\d{1,2}", field) else None


def normalize(text: str) -> str:
    """An expression as it is kept: five fields with one blank between them, macros written out.

    `7` as day of the week becomes `0`, so that the sorted list of weekdays reads as the presets write it. Raises
    CronError.
    """
    typed = text.strip()
    if not typed:
        raise CronError(
            "Enter five fields: minute, hour, day of month, month, day of week. 0 2 * * * is daily at 02:00."
        )
    if len(typed) > LONGEST:
        raise CronError(f"An expression can have at most {LONGEST} characters; this one has {len(typed)}.")
    if typed.startswith("@"):
        if typed.lower() not in MACROS:
            raise CronError(f"{typed} is not supported. Use one of: {', '.join(MACROS)}.")
        return MACROS[typed.lower()]
    fields = typed.upper().split()
    if len(fields) != 5:
        raise CronError(
            f"This has {len(fields)} field{'' if len(fields) == 1 else 's'}, but five are needed: "
            "minute, hour, day of month, month, day of week. 0 2 * * * is daily at 02:00."
        )
    expression = " ".join(fields)
    _impossible_days(fields)
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        name_of_field = _FIELDS.get(name, str(error))
        raise CronError(f"{name_of_field}; {_typed(fields, name)} is not valid.") from error
    except StopIteration:
        raise CronError("This never runs: no date in the next fifty years matches.") from None
    if re.fullmatch(r"[0-7](,[0-7])*", fields[4]):
        fields[4] = ",".join(sorted({str(int(day) % 7) for day in fields[4].split(",")}))
    return " ".join(fields)


def _typed(fields: Sequence[str], name: str) -> str:
    place = list(_FIELDS).index(name) if name in _FIELDS else None
    return f'"{fields[place]}"' if place is not None else "this"


def _impossible_days(fields: Sequence[str]) -> None:
    """Raise CronError for days that none of the named months has; cron itself would just never fire."""
    days, months, weekday = fields[2], fields[3], fields[4]
    if weekday != "*" or not re.fullmatch(r"\d+(,\d+)*", days) or not re.fullmatch(r"\w+(,\w+)*", months):
        return
    month_numbers = {name: number for number, name in enumerate(_MONTHS, 1)}
    numbers = [month_numbers.get(month.lower()) or _number(month) or 0 for month in months.split(",")]
    if not all(1 <= number <= 12 for number in numbers) or not all(1 <= int(day[:3]) <= 31 for day in days.split(",")):
        return  # said by the parser
    if min(int(day) for day in days.split(",")) > max(_LENGTHS[number - 1] for number in numbers):
        verb = "has" if len(numbers) == 1 else "have"
        names = " and ".join(_MONTHS[number - 1].capitalize() for number in numbers)
        raise CronError(
            f"This never runs: {names} {verb} no day {days}. L in the third field means the last day of a month."
        )


def describe(cron: str) -> str:
    """An expression in words, "Every day at 02:00"; times on the 24-hour clock. Raises CronError.

    What would be too long in words is the expression itself: beside it stand its next times.
    """
    expression = normalize(cron)
    preset = preset_of(expression)
    return _sentence(preset) if preset else sentence(fields_of(expression)) or expression


def in_words(cron: str) -> str:
    """What a page says of a schedule that is kept: `describe`, or the expression if it is not understood now."""
    try:
        return describe(cron)
    except CronError:
        return cron


def _sentence(preset: Preset) -> str:
    at = f"at {preset.hour:02}:{preset.minute:02}"
    match preset.frequency:
        case "minute":
            return "Every minute" if preset.every == 1 else f"Every {preset.every} minutes"
        case "hour":
            each = "Every hour" if preset.every == 1 else f"Every {preset.every} hours"
            return each if preset.minute == 0 else f"{each}, {preset.minute} minutes past"
        case "day":
            return f"Every day {at}"
        case "week":
            names = [WEEKDAYS[day] for day in sorted(set(preset.weekdays))]
            if len(names) == 7:
                return f"Every day of the week {at}"
            return f"Every {', '.join(names[:-1])}{' and ' if names[1:] else ''}{names[-1]} {at}"
        case "month":
            day = "the last day" if preset.day > 31 else f"day {preset.day}"
            return f"On {day} of every month {at}"


def surprises(cron: str) -> list[str]:
    """What people do not expect of an expression, in words. Raises CronError."""
    expression = normalize(cron)
    fields, rules = expression.split(), fields_of(expression)
    notes = []
    if rules.of_month and rules.of_week and not rules.both:
        notes.append(
            "Both day fields are restricted, so cron runs on those days of the month and also on those days of the "
            "week. To use only one, put * in the other."
        )
    elif rules.of_month and rules.of_week:
        notes.append("A day field that starts with * counts as unrestricted, so both day fields must match.")
    for field, whole, unit in ((fields[0], 60, "hour"), (fields[1], 24, "day")):
        step = re.fullmatch(r"\*/(\d+)", field)
        if step and whole % int(step[1]):
            notes.append(
                f"{whole} is not a multiple of {step[1]}. Counting restarts every {unit}, so the last interval is "
                "shorter."
            )
    days = [int(number) for number in re.findall(r"\b\d+\b", fields[2])]
    if fields[3] == "*" and fields[4] == "*" and days and 28 < min(days) <= 31:
        notes.append(f"Months without a day {min(days)} are skipped. L means the last day of every month.")
    if fields[2] == "29" and fields[3] in ("2", "FEB"):
        notes.append("29 February exists only in leap years.")
    return notes


@lru_cache(maxsize=1000)  # the list of all zones is read from the disk
def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name in the IANA database. Raises CronError."""
    if name not in available_timezones():
        raise CronError(f"Unknown time zone {name[:60]}. Use an IANA name such as Europe/Berlin.")
    return ZoneInfo(name)


def next_times(cron: str, zone: str, count: int = 5, after: datetime | None = None) -> list[datetime]:
    """The next `count` due times after `after` (aware; now), aware and in `zone`. Raises CronError.

    At the change to summer time a time that does not exist comes at the next one that does; in autumn a fixed
    time comes once, and "every hour" every real hour.
    """
    start = (after or datetime.now(UTC)).astimezone(zone_of(zone))
    return list(islice(CronSim(normalize(cron), start), count))


def due_times_between(cron: str, zone: str, after: datetime, until: datetime, most: int) -> tuple[list[datetime], bool]:
    """The due times in (after, until], UTC, oldest first, at most `most`; and whether there are more.

    In: aware times. Raises CronError.
    """
    due_times: list[datetime] = []
    for moment in CronSim(normalize(cron), after.astimezone(zone_of(zone))):
        due_time = moment.astimezone(UTC)
        if due_time > until:
            return due_times, False
        if len(due_times) == most:
            return due_times, True
        due_times.append(due_time)
    return due_times, False
