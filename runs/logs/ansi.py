"""Text of a terminal as HTML: colours and weights become classes, what else steers a terminal is dropped. Pure.

The codes are those of ECMA-48 (SGR), with the bright colours that terminals added (90-97, 100-107). What would change
how other text looks without being seen itself, such as the direction of writing, is written out. Nothing here raises,
whatever the text is.
"""

import re
from html import escape

from runs.logs.lines import last_state

_CODES = re.compile(r"\x1b(?:\[([0-?]*)([ -/]*[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_]?)")
_DROPPED = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# C1 controls, controls of the direction of writing, line separators, blanks without a width, halves of characters, and
# the invisible letters called tags. Joiners stay: emoji and some scripts need them.
_INVISIBLE = re.compile(
    "[\x80-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_STYLES = {1: "bold", 2: "dim", 3: "italic", 4: "underline"}
_ENDS = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",)}
LONGEST_CODES = 200  # characters between ESC[ and m
LONGEST_LINE = 16 * 1024  # characters that are shown of one line


def line_to_html(line: str, beyond: int = 0) -> str:
    """The last state of a line without its newline as HTML; spans have classes like `ansi-red` and `ansi-bold`.

    In: `beyond`, bytes of the line that are not in the text. Control characters are dropped.
    """
    line = last_state(line)
    cut = len(line) - LONGEST_LINE
    if cut > 0:
        line = line[:LONGEST_LINE]
    pieces: list[str] = []
    active: dict[str, str] = {}
    place = 0
    for code in _CODES.finditer(line):
        pieces.append(_span(line[place : code.start()], active))
        place = code.end()
        if code[2] == "m":
            _apply(code[1], active)
    pieces.append(_span(line[place:], active))
    if cut > 0:
        more = f"{cut:,} more characters" if not beyond else f"more than {cut:,} more characters"
        pieces.append(f'<span class="log-cut"> … {more}, in the download</span>')
    return "".join(pieces)


def _span(text: str, active: dict[str, str]) -> str:
    clean = _INVISIBLE.sub(_named, escape(_DROPPED.sub("", text)))
    if not clean or not active:
        return clean
    return f'<span class="{" ".join(sorted(active.values()))}">{clean}</span>'


def _named(match: re.Match[str]) -> str:
    return f'<span class="log-control">{_code(match)}</span>'


def _code(match: re.Match[str]) -> str:
    return f"U+{ord(match[0]):04X}"


def plain(text: str) -> str:
    """A piece of a log as text: without codes of a terminal, and with what cannot be seen written out."""
    lines = _CODES.sub("", text).split("\n")
    return "\n".join(_INVISIBLE.sub(lambda match: f"<{_code(match)}>", _DROPPED.sub("", line)) for line in lines)


def _apply(codes: str, active: dict[str, str]) -> None:
    numbers = [_number(text) for text in codes[:LONGEST_CODES].split(";")[:32]]
    while numbers:
        number = numbers.pop(0)
        if number == 0:
            active.clear()
        elif number in _STYLES:
            active[_STYLES[number]] = f"ansi-{_STYLES[number]}"
        elif number in _ENDS:
            for name in _ENDS[number]:
                active.pop(name, None)
        elif number in (38, 48):  # 38;5;N and 38;2;R;G;B: colours that no theme knows are left out
            del numbers[: {5: 2, 2: 4}.get(numbers[0] if numbers else 0, 0)]
        elif number == 39:
            active.pop("colour", None)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            active["colour"] = f"ansi-{_COLOURS[number % 10]}"


def _number(text: str) -> int:
    """A code; none is 0, as for a terminal, and what is none, such as a number of 5,000 digits, is unknown."""
    if not text:
        return 0
    return int(text) if text.isdecimal() and len(text) <= 4 else -1
