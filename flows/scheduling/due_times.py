"""All due times of a longer window at once: what flows.scheduling.cron.due_times_between says, for calendars. Pure.

A schedule of every minute has 10,080 due times a week, for which cron's own walk takes a tenth of a second. Where the
zone keeps its distance from UTC during the window, they are the same hours and minutes on every day that fits.
"""

from datetime import UTC, datetime, time, timedelta, tzinfo

from cronsim import CronSim

from flows.scheduling.cron import due_times_between, normalize, zone_of

DAY = timedelta(days=1)
MOST = 1_000_000  # of one schedule; a year of minutes is half of it


def due_times_in(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """The due times in (after, until], UTC, oldest first. In: aware times. Raises CronError."""
    where = zone_of(zone)
    expression = normalize(cron)
    if not _keeps_distance(where, after, until):
        return due_times_between(expression, zone, after, until, MOST)[0]
    rules = CronSim(expression, datetime(2024, 1, 1))  # noqa: DTZ001 - for its sets and its test of days
    first, last = after.astimezone(where), until.astimezone(where)
    offset = first.utcoffset() or timedelta()
    times = [timedelta(hours=hour, minutes=minute) for hour in sorted(rules.hours) for minute in sorted(rules.minutes)]
    due_times: list[datetime] = []
    day = first.date()
    while day <= last.date():
        if day.month in rules.months and rules.match_day(day):
            midnight = datetime.combine(day, time(), UTC) - offset
            due_times += [midnight + moment for moment in times]
        day += DAY
    return [due_time for due_time in due_times if after < due_time <= until]


def _keeps_distance(where: tzinfo, after: datetime, until: datetime) -> bool:
    """Whether the clocks of a zone are not changed in a window; no zone changes them there and back within a day."""
    offset, moment = after.astimezone(where).utcoffset(), after
    while moment < until:
        moment = min(moment + DAY, until)
        if moment.astimezone(where).utcoffset() != offset:
            return False
    return True
