"""Two texts line by line: what stayed, what came, what went. The work is bounded, whatever the texts are. Pure.

difflib compares each line with each and looks for likenesses within lines, which takes minutes for a few hundred lines
that resemble each other. This is Myers's algorithm, which takes as long as there are differences; where those are more
than can be afforded, the rest of the texts stands as a whole for what went and what came.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

Sign = Literal[" ", "-", "+"]
Line = tuple[Sign, str]
MOST_STEPS = 400_000  # comparisons of lines; well below a second


def compare(before: Sequence[str], after: Sequence[str]) -> list[Line]:
    """Every line of both texts, in order, and its sign: " " in both, "-" in the first, "+" in the second alone."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    lines: list[Line] = [(" ", line) for line in before[:start]]
    lines += _middle(old, new)
    lines += [(" ", line) for line in before[len(before) - end :]]
    return lines


def with_context(lines: Sequence[Line], around: int = 3) -> Iterator[Line | None]:
    """The lines that changed, with so many around them that did not; None where lines were left out between."""
    last = -1  # the line that was given last
    for number, (sign, _) in enumerate(lines):
        if sign == " ":
            continue
        place = max(number - around, last + 1)
        if place > last + 1:
            yield None
        yield from lines[place : number + 1]
        last = number
        while last < min(number + around, len(lines) - 1) and lines[last + 1][0] == " ":
            last += 1
            yield lines[last]


def _middle(old: Sequence[str], new: Sequence[str]) -> list[Line]:
    """The differences of two texts that begin and end differently."""
    path = _path(old, new) if old and new else None
    if path is None:
        return [*(("-", line) for line in old), *(("+", line) for line in new)]
    return path


def _path(old: Sequence[str], new: Sequence[str]) -> list[Line] | None:
    """The shortest way from one text to the other; None where it takes more than MOST_STEPS to find."""
    size, steps = len(old) + len(new), 0
    furthest = {1: 0}  # diagonal -> how far the first text is read on it
    trace: list[dict[int, int]] = []
    for distance in range(size + 1):
        trace.append(dict(furthest))
        steps += len(furthest)
        for diagonal in range(-distance, distance + 1, 2):
            down = diagonal == -distance or (
                diagonal != distance and furthest.get(diagonal - 1, -1) < furthest.get(diagonal + 1, -1)
            )
            x = furthest.get(diagonal + 1, 0) if down else furthest.get(diagonal - 1, 0) + 1
            y = x - diagonal
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y, steps = x + 1, y + 1, steps + 1
            furthest[diagonal] = x
            steps += 1
            if x >= len(old) and y >= len(new):
                return _walk(trace, old, new)
        if steps > MOST_STEPS:
            return None
    return None


def _walk(trace: list[dict[int, int]], old: Sequence[str], new: Sequence[str]) -> list[Line]:
    lines: list[Line] = []
    x, y = len(old), len(new)
    for distance in range(len(trace) - 1, -1, -1):
        furthest, diagonal = trace[distance], x - y
        down = diagonal == -distance or (
            diagonal != distance and furthest.get(diagonal - 1, -1) < furthest.get(diagonal + 1, -1)
        )
        came_from = diagonal + 1 if down else diagonal - 1
        left, above = furthest.get(came_from, 0), furthest.get(came_from, 0) - came_from
        while x > left and y > above and x > 0 and y > 0 and old[x - 1] == new[y - 1]:
            x, y = x - 1, y - 1
            lines.append((" ", old[x]))
        if distance == 0:
            break
        if down:
            y -= 1
            lines.append(("+", new[y]))
        else:
            x -= 1
            lines.append(("-", old[x]))
    lines.reverse()
    return lines
