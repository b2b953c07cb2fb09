"""Masks secrets in a stream of bytes, before the first byte reaches a disk, a database or a browser.

Not promised: a secret that was encoded twice, encrypted, reversed or cut in pieces by whoever printed it.
"""

import base64
import html
import json
import urllib.parse
from bisect import bisect_right
from collections.abc import Iterable

import ahocorasick

MASK = b"[MASKED]"
MINIMUM = 6  # bytes; anything shorter occurs in ordinary text and would mask half of the log


def unmaskable(secret: str) -> str | None:
    """Why this value cannot be masked, as a sentence for its form, or None if it can."""
    size = len(secret.strip().encode())
    if size < MINIMUM:
        return f"a secret needs at least {MINIMUM} bytes to be masked in logs; this one has {size}"
    if secret.strip().encode() in MASK:
        return "this value is part of the mask itself"
    return None


def variants(secret: str) -> set[bytes]:
    """Every rendering of a secret that must not reach a log."""
    if unmaskable(secret):
        return set()
    forms: set[bytes] = set()
    for text in {secret, secret.strip()}:
        raw = text.encode()
        in_json, in_ascii_json = json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]
        for rendering in (
            text,
            in_json,
            in_ascii_json,
            in_json.replace("/", "\\/"),
            repr(text)[1:-1],
            html.escape(text),
            text.replace("'", "'\\''"),  # inside single quotes of a shell
        ):
            forms.add(rendering.encode())
        for quoted in (
            urllib.parse.quote(text),
            urllib.parse.quote(text, safe=""),
            urllib.parse.quote_plus(text),
        ):
            forms |= {quoted.encode(), _lower_hex_escapes(quoted).encode()}
        forms |= {raw.hex().encode(), raw.hex().upper().encode()}
        for altchars in (None, b"-_"):
            forms |= _base64_cores(raw, altchars)
    # A PEM key is often printed line by line, with a prefix on every line.
    forms |= {line.strip().encode() for line in secret.splitlines()}
    return {pattern for pattern in forms if len(pattern) >= MINIMUM and pattern not in MASK}


def _lower_hex_escapes(quoted: str) -> str:
    pieces = quoted.split("%")
    return "%".join([pieces[0], *(piece[:2].lower() + piece[2:] for piece in pieces[1:])])


def _base64_cores(raw: bytes, altchars: bytes | None) -> set[bytes]:
    """What base64 makes of the value wherever it stands in a longer text: `user:secret` is caught too."""
    cores = set()
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b"\0" * offset + raw, altchars=altchars)
        # Only characters that depend on nothing but the secret: not those shared with its neighbours.
        cores.add(encoded[first : (offset + len(raw)) * 8 // 6])
    return cores


class Redactor:
    """Feed it chunks, get masked chunks; how the stream is cut into chunks never changes the result.

    It holds back only what may be the beginning of a secret, so a log that ends in ordinary text is
    always complete and needs no timer.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        patterns = sorted(set().union(*(variants(secret) for secret in secrets)))
        self._patterns = patterns
        self._longest = max(map(len, patterns), default=0)
        self._starts = {pattern[:3] for pattern in patterns}
        self._automaton = ahocorasick.Automaton()
        for pattern in patterns:
            self._automaton.add_word(pattern.decode("latin-1"), len(pattern))
        if patterns:
            self._automaton.make_automaton()
        self._kept = b""
        self._masked = 0  # so many first bytes of what is kept belong to a mask that is already out

    @property
    def held(self) -> int:
        """How many bytes wait because they may be the beginning of a secret."""
        return len(self._kept)

    def feed(self, data: bytes) -> bytes:
        """The next part of the stream, masked, as far as it is certain."""
        if not self._patterns:
            return data
        return self._advance(data, final=False)

    def flush(self) -> bytes:
        """What is held back; call it at the end of the stream."""
        return self._advance(b"", final=True) if self._patterns else b""

    def whole(self, text: str) -> str:
        """One whole text, masked; nothing is held back, and the next text begins afresh."""
        return (self.feed(text.encode(errors="replace")) + self.flush()).decode(errors="replace")

    def _advance(self, data: bytes, *, final: bool) -> bytes:
        text = self._kept + data if self._kept else data
        limit = len(text) if final else self._possible_start(text)
        out: list[bytes] = []
        done = self._masked
        for start, end in self._merged(text, limit):
            if start >= done:
                out += (text[done:start], MASK)
            done = max(done, end)
        if done < limit:
            out.append(text[done:limit])
            done = limit
        self._kept, self._masked = text[limit:], done - limit
        return b"".join(out)

    def _merged(self, text: bytes, limit: int) -> list[tuple[int, int]]:
        """Where secrets stand that begin before the limit, in order of their beginning."""
        # latin-1 maps bytes to characters one to one; the automaton works on text.
        hits = [(last + 1 - size, last + 1) for last, size in self._automaton.iter(text.decode("latin-1"))]
        return sorted(hit for hit in hits if hit[0] < limit) if hits else hits

    def _possible_start(self, text: bytes) -> int:
        """The first place from which the rest of the text may go on to be a secret."""
        size = len(text)
        for place in range(max(0, size - self._longest + 1), size):
            if (size - place < 3 or text[place : place + 3] in self._starts) and self._begins(text[place:]):
                return place
        return size

    def _begins(self, rest: bytes) -> bool:
        """Whether some pattern is longer than this and starts with it; sorted, they stand side by side."""
        at = bisect_right(self._patterns, rest)
        return at < len(self._patterns) and self._patterns[at].startswith(rest)
