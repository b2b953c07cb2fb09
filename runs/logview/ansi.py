"""Text of a terminal as HTML: colours and weights become classes, what else steers a terminal is dropped. Pure.

The codes are those of ECMA-48 (SGR), with the bright colours that terminals added (90-97, 100-107).
"""

import re
from html import escape

_CODES = re.compile(r"\x1b(?:\[([0-?]*)([ -/]*[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_]?)")
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_STYLES = {1: "bold", 2: "dim", 3: "italic", 4: "underline"}
_ENDS = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",)}
LONGEST_LINE = 16 * 1024  # characters that are shown of one line


def line_to_html(line: str) -> str:
    """One line without its newline as HTML; spans have classes like `ansi-red` and `ansi-bold`.

    A carriage return within the line starts it anew, as progress bars do. Other control characters are dropped.
    """
    line = line.rstrip("\r")
    line = line[line.rfind("\r") + 1 :]
    cut = len(line) - LONGEST_LINE
    if cut > 0:
        line = line[:LONGEST_LINE]
    made: list[str] = []
    active: dict[str, str] = {}
    place = 0
    for code in _CODES.finditer(line):
        made.append(_span(line[place : code.start()], active))
        place = code.end()
        if code[2] == "m":
            _apply(code[1], active)
    made.append(_span(line[place:], active))
    if cut > 0:
        made.append(f'<span class="log-cut"> … {cut:,} more characters, in the download</span>')
    return "".join(made)


def _span(text: str, active: dict[str, str]) -> str:
    clean = escape("".join(c for c in text if c == "\t" or (c >= " " and c != "\x7f")))
    if not clean or not active:
        return clean
    return f'<span class="{" ".join(sorted(active.values()))}">{clean}</span>'


def _apply(codes: str, active: dict[str, str]) -> None:
    numbers = [int(number) if number.isdecimal() else 0 for number in codes.split(";")[:32]]
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
