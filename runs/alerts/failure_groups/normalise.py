"""Makes the words of two failures equal that differ in numbers, times and temporary names alone. Pure."""

import hashlib
import re
from collections.abc import Callable

LONGEST = 500
_READ = 20_000  # characters; an error's first line stands at its beginning
# dbt puts a heading over what the warehouse said, and it names the model: the failure is in the line below.
_HEADING = re.compile(r"^(\w+(?: \w+)? Error) in [\w ]+ \S+ \(\S+\)\s*(.*)$")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

_DAY = r"\d{4}[-/]\d{2}[-/]\d{2}"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
_ZONE = r"(?:\s?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
_WORD = re.compile(r"[^\s'\"`:,;)\]]+")
_NUMBERED = re.compile(r"/(?:runs|sessions|revisions|targets?)/")  # folders in which each run has a place of its own


def _without_place(match: re.Match[str]) -> str:
    """A word, its path replaced where it leads through a folder of numbered places to something with a number."""
    word = match[0]
    numbered = _NUMBERED.search(word)
    if numbered is None or not any(letter.isdecimal() for letter in word[numbered.end() :]):
        return word
    start = numbered.start()
    while start and (word[start - 1].isalnum() or word[start - 1] in "_.~/-"):
        start -= 1
    return f"{word[:start]}<path>"


#: In this order: what is longer and more telling first, bare numbers last. Each is linear in the length of the text: an
#: error message is whatever somebody made a warehouse say, and a process that matches does nothing else.
_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.I), "<uuid>"),
    (re.compile(rf"\b{_DAY}[T ]{_CLOCK}{_ZONE}(?!\w)"), "<time>"),
    (re.compile(rf"\b{_DAY}\b"), "<date>"),
    (re.compile(r"(?<![\w.])/(?:tmp|var/tmp|var/folders|private/tmp|dev/shm)(?:/[^\s'\"`:,;)\]]+)+"), "<path>"),
    (_WORD, _without_place),
    (re.compile(r"(?<![\w:.])(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?(?![\w.]*\d)"), "<address>"),
    (re.compile(r"\[(?=[0-9a-f.]*:)[0-9a-f:.]+\](?::\d{1,5})?", re.I), "<address>"),
    (
        re.compile(r"(?<![\w:])(?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4})(?![\w:])(?<!\d\d:\d\d:\d\d)", re.I),
        "<address>",
    ),
    (re.compile(r"(?<![\w:])::(?:1|ffff:<address>)(?![\w:])", re.I), "<address>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.I), "<hex>"),
    (re.compile(rf"\b{_CLOCK}{_ZONE}(?!\w)"), "<time>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}\b", re.I), "<hex>"),
    (
        re.compile(
            r"(?<![\w.])\d+(?:[.,]\d+)?\s?(?:ns|us|µs|ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|days?)\b", re.I
        ),
        "<duration>",
    ),
    (re.compile(r"(?<=[A-Za-z._-]):\d{2,5}\b"), ":<port>"),
    (
        re.compile(
            # Not from within a run of digits: what follows it was looked at when it began.
            r"(?<![A-Za-z])(?:(?<!\d)|(?=[-+]))[-+]?\d+(?:[.,_]\d+)*(?:e[-+]?\d+)?(?:st|nd|rd|th|[kmgt]i?b?|%)?"
            r"(?![A-Za-z\d])",
            re.I,
        ),
        "<n>",
    ),
    (re.compile(r"(?<=[A-Za-z_])\d{3,}"), "<n>"),
)


def first_error_line(text: str) -> str:
    """The line of an error that tells what it is; dbt's headings, which name the model, are shortened.

    "Database Error in model a (models/a.sql)" above "  Binder Error: b", or before it in one line, gives
    "Database Error: Binder Error: b".
    """
    lines = [line for line in map(str.strip, _ESCAPES.sub("", text[:_READ]).splitlines()) if line]
    if not lines:
        return ""
    heading = _HEADING.match(lines[0])
    rest = (heading[2] or " ".join(lines[1:2])) if heading else ""
    return f"{heading[1]}: {rest}" if heading and rest else lines[0]


def is_said_by(reason: str, message: str) -> bool:
    """Whether a reason, which is one line, is the beginning of a longer message."""
    return bool(reason.strip()) and " ".join(message.split()).startswith(" ".join(reason.split()))


def normalise(line: str) -> str:
    """The line with placeholders such as <n>, <uuid>, <time> and <path> for what differs each time."""
    text = " ".join(line.split())[:4000]
    for pattern, placeholder in _RULES:
        text = pattern.sub(placeholder, text)
    return text[:LONGEST]


def digest_of(text: str) -> str:
    """The name of a normalised line."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
