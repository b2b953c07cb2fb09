"""How long work will probably take when so many threads share it. Pure."""

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from statistics import median


def expected_seconds(
    seconds: Mapping[str, float | None], edges: Iterable[tuple[str, str]], threads: int
) -> float | None:
    """When the last task would end, if each took as long as it usually does and a free thread took the next that may.

    In: `seconds` by task in the order in which they are taken, None where nothing is known: such a task counts as the
    median of the others, and 0 takes no time and tells nothing; `edges` as (up, down), those between other tasks are
    left out. Out: None where nothing is known of any.
    """
    measured = [each for each in seconds.values() if each]
    if not measured:
        return None
    usual = median(measured)
    place = {key: number for number, key in enumerate(seconds)}
    waits = dict.fromkeys(seconds, 0)
    below: dict[str, list[str]] = {}
    for up, down in edges:
        if up in waits and down in waits:
            waits[down] += 1
            below.setdefault(up, []).append(down)
    ready = [place[key] for key, number in waits.items() if not number]
    heapify(ready)
    keys = list(seconds)
    going: list[tuple[float, int]] = []  # (when it ends, task)
    now = 0.0
    while ready or going:
        while ready and len(going) < max(threads, 1):
            number = heappop(ready)
            took = seconds[keys[number]]
            heappush(going, (now + (usual if took is None else took), number))
        now, over = heappop(going)
        for down in below.get(keys[over], ()):
            waits[down] -= 1
            if not waits[down]:
                heappush(ready, place[down])
    return now
