"""Encodings of text: which ones can be chosen, which one a file has, and what is said where it is another one."""

from collections.abc import Iterable
from contextlib import suppress

from nodes.connections.connectors.failures import SourceError

ENCODINGS = {
    "auto": "Detect, otherwise UTF-8",
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "cp1252": "Windows-1252 (Western Europe)",
    "latin-1": "ISO 8859-1 (Latin-1)",
    "iso8859-15": "ISO 8859-15 (Latin-9)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp437": "DOS (437)",
    "cp850": "DOS (850)",
    "mac-roman": "Mac Roman",
    "shift_jis": "Shift JIS",
    "gb18030": "GB 18030",
    "big5": "Big5",
    "euc-kr": "EUC-KR",
}
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def encoding_of(name: str, start: bytes, chosen: str) -> str:
    """The encoding of a file by its first bytes, as Python calls it. In: `chosen`, a key of ENCODINGS.

    Raises SourceError for what is no text.
    """
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), "")
    if chosen != "auto":
        if chosen == "utf-16" and not marked:  # without a mark Python would take this machine's order of bytes
            return "utf-16-be" if start[:2].startswith(b"\0") else "utf-16-le"
        return "utf-8-sig" if chosen == "utf-8" else chosen
    if not marked and b"\0" in start:
        evens, odds = start[::2].count(0), start[1::2].count(0)
        if max(evens, odds) > 0.4 * len(start) / 2 > 10 * min(evens, odds):
            raise SourceError("data", f"{name}: this looks like UTF-16. Choose it under Encoding.")
        raise SourceError("data", f"{name}: this is not UTF-8 text. Is it a binary file?")
    return marked or "utf-8"


def undecodable(place: str, lines: Iterable[bytes], encoding: str) -> SourceError:
    """The refusal of a file that is not in its encoding: which line it is, and what the encoding may be.

    In: `place`, the file as a person knows it; `lines`, its bytes, from the beginning.
    """
    line, sample = 0, b""
    with suppress(UnicodeDecodeError):
        for piece in lines:
            line, sample = line + 1, piece
            piece.decode(encoding)
    named = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8"}.get(encoding, encoding)
    where = place if encoding.startswith("utf-16") else f"{place}, line {line}"
    guess = _guessed(sample) if encoding.startswith("utf-8") else ""
    cure = f"It looks like {guess}. Choose that under Encoding." if guess else "Choose another encoding."
    return SourceError("data", f"{where}: this is not {named} text. {cure}")


def _guessed(sample: bytes) -> str:
    """The encoding that a line of bytes may have, as the settings call it."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    by_name = {name.replace("_", "-").lower(): words for name, words in ENCODINGS.items() if name != "auto"}
    description = by_name.get((best.encoding if best else "").replace("_", "-").lower())
    if description:
        return description
    with suppress(UnicodeDecodeError):
        sample.decode("cp1252")
        return ENCODINGS["cp1252"]
    return ENCODINGS["latin-1"]
