"""What chaos tests do inside an installation: `python -m tests.chaos.workload open|wait|states|...`."""

import json
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import django

django.setup()

from django.db.models import Count  # noqa: E402 - after Django is set up

from flows.models import Tick  # noqa: E402
from nodes.services import save_flow  # noqa: E402
from runs.models import Attempt, Run  # noqa: E402
from runs.states import RUN_OVER  # noqa: E402
from tests.helpers.graphs import DIAMOND, open_graph  # noqa: E402
from tests.helpers.pages import sample_flow  # noqa: E402
from tests.helpers.waiting import patience  # noqa: E402


def open_runs(number: int, longest: float) -> None:
    """Diamonds of tasks that take up to `longest` seconds; every fifth task outlives a lease."""
    dice = random.Random(number)
    for _ in range(number):
        specs = {
            name: {"seconds": 5.0 if longest >= 1 and dice.random() < 0.05 else dice.uniform(0, longest)}
            for name in DIAMOND
        }
        open_graph(specs=specs)


def wait(seconds: float) -> None:
    """Until every run is over; says what is left when the time is up."""
    deadline = time.monotonic() + patience(seconds)
    while Run.objects.exclude(state__in=RUN_OVER).exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    left = list(Run.objects.exclude(state__in=RUN_OVER).values_list("pk", "state"))
    runs = list(Run.objects.values_list("state", flat=True))
    counts = {state: runs.count(state) for state in set(runs)}
    lost = Attempt.objects.filter(outcome="lost").count()
    print(json.dumps({"left": left, "states": counts, "attempts": Attempt.objects.count(), "lost": lost}))


def schedule(number: int, due: float) -> None:
    """Flows that are due at one minute (seconds since 1970), and one more that starts after each of them."""
    at = datetime.fromtimestamp(due, UTC)
    for n in range(number):
        made = sample_flow(f"Daily {n}", allow_empty=True, overlap="allow")
        made.cron = f"{at.minute} {at.hour} * * *"
        save_flow(made)
        save_flow(sample_flow(f"After {n}", allow_empty=True, overlap="allow"), after=[made])


def ticks() -> None:
    """What became of each due time: [flow, due at (seconds), outcome, number of runs]."""
    rows = Tick.objects.annotate(number=Count("runs")).order_by("due_at")
    print(json.dumps([[row.flow.name, row.due_at.timestamp(), row.outcome, row.number] for row in rows]))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    commands: dict[str, Callable[..., None]] = {
        "open": lambda n, s: open_runs(int(n), float(s)),
        "wait": lambda s: wait(float(s)),
        "schedule": lambda n, due: schedule(int(n), float(due)),
        "ticks": ticks,
    }
    commands[command](*arguments)
