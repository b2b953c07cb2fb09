"""What a line of a log is: everything that reads or writes a log keeps to this. Pure.

A line ends with a newline. A carriage return within it starts it anew, as progress bars do: of all its states the last
one counts. One that nothing follows changes nothing, so that a line may end with both, and a bar that returns after
each of its states is seen.
"""

from typing import AnyStr, NamedTuple


def last_state(line: AnyStr) -> AnyStr:
    """The last state of one line without its newline."""
    back = "\r" if isinstance(line, str) else b"\r"
    line = line.rstrip(back)
    return line[line.rfind(back) + 1 :]


class Settled(NamedTuple):
    """What a further piece of a line does to it."""

    text: bytes  # is added to the line,
    restarts: bool  # once what the line was is forgotten
    returned: bool  # whether whatever comes next starts the line anew


def settle(piece: bytes, *, returned: bool) -> Settled:
    """Take a piece of a line, without newline, after what came before; `returned`, as the piece before left it."""
    body = piece.rstrip(b"\r")
    restarts = b"\r" in body or (returned and bool(body))
    return Settled(last_state(body), restarts, len(body) < len(piece) or (returned and not body))
