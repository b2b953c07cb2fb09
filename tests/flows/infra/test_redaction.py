"""Secrets in what a child prints."""

import base64
import html
import json
import os
import re
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.infra.redaction import MASK, Redactor, unmaskable, variants

AWKWARD = "p@ss w0rd/+%é!'\"<"
KEY = "-----BEGIN KEY-----\nMIIabcdEFGHijkl0123456789\nqwertyUIOPasdf\n-----END KEY-----"
LONGER, SHORTER = "hunter22-and-more", "hunter22"  # one begins with the other
OVERLAPPING = "more-of-the-same"
SECRETS = [AWKWARD, "AKIAABCDEFGHIJKL", KEY, LONGER, SHORTER, OVERLAPPING, "aaaaaa"]


def masked(chunks: list[bytes], secrets: list[str] = SECRETS) -> bytes:
    redactor = Redactor(secrets)
    return b"".join(redactor.feed(chunk) for chunk in chunks) + redactor.flush()


def redact(data, secrets):
    """One whole text, masked."""
    redactor = Redactor(secrets)
    return redactor.feed(data) + redactor.flush()


@pytest.mark.parametrize(
    "rendering",
    [
        lambda secret: secret,
        lambda secret: urllib.parse.quote(secret),
        lambda secret: urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus,
        lambda secret: re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(secret, safe="")),
        lambda secret: json.dumps(secret),
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: json.dumps({"a": [secret]}),
        repr,
        html.escape,
        lambda secret: "'" + secret.replace("'", "'\\''") + "'",
        lambda secret: secret.encode().hex(),
        lambda secret: secret.encode().hex().upper(),
        lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
        lambda secret: base64.b64encode(f"a:{secret}@host".encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(f"ab:{secret}".encode()).decode(),
        lambda secret: f"postgresql://user:{urllib.parse.quote(secret, safe='')}@host/db",
    ],
)
@pytest.mark.parametrize("secret", [AWKWARD, "sk-live-0123456789abcdef"])
def test_a_secret_is_masked_however_a_script_renders_it(rendering, secret):
    out = redact(f"before {rendering(secret)} after\n".encode(), [secret])
    assert MASK in out
    assert out.startswith(b"before ")
    assert not any(variant in out for variant in variants(secret))
    assert secret.encode() not in out


def test_each_line_of_a_private_key_is_masked_on_its_own():
    out = redact(b"\n".join(b"log | " + line.encode() for line in KEY.splitlines()), [KEY])
    assert out == b"\n".join([b"log | " + MASK] * 4)


def test_text_without_a_secret_is_unchanged():
    text = bytes(range(256)) * 50
    assert redact(text, ["no-such-thing"]) == text
    assert redact(text, []) == text


def test_two_secrets_that_overlap_leave_nothing_of_either():
    assert redact(b"x hunter22-and-more-of-the-same y", SECRETS) == b"x " + MASK + b" y"


def test_the_longer_of_two_secrets_is_masked_whole():
    assert redact(b"[hunter22] [hunter22-and-more]", SECRETS) == b"[" + MASK + b"] [" + MASK + b"]"


def test_a_line_of_log_is_out_as_soon_as_it_is_complete():
    redactor = Redactor(SECRETS)
    assert redactor.feed(b"loaded 3 rows\n") == b"loaded 3 rows\n"
    assert redactor.held == 0


def test_text_that_may_begin_a_secret_is_held_back():
    redactor = Redactor(["hunter22"])
    assert redactor.feed(b"password: hunt") == b"password: "
    assert redactor.held == 4
    assert redactor.feed(b"ing season\n") == b"hunting season\n"
    assert redactor.feed(b"hunte") + redactor.feed(b"r2") + redactor.feed(b"2!") == MASK + b"!"


def test_text_that_is_held_back_is_written_at_the_end():
    redactor = Redactor(["hunter22"])
    assert redactor.feed(b"hunt") + redactor.flush() == b"hunt"


@pytest.mark.parametrize(
    ("secret", "fits"),
    [("abc", False), ("12345", False), ("éé", False), ("ééé", True), ("123456", True), ("MASKED", False)],
)
def test_a_secret_that_cannot_be_masked_is_named_with_its_reason(secret, fits):
    assert (unmaskable(secret) is None) is fits
    assert bool(variants(secret)) is fits


pieces = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([variant for secret in SECRETS for variant in sorted(variants(secret))]),
    st.sampled_from([secret.encode()[:cut] for secret in SECRETS for cut in (3, 7, 12)]),
    st.sampled_from([base64.b64encode(b"user:" + secret.encode()) for secret in SECRETS]),
)


@settings(max_examples=300 * int(os.environ.get("DEX_TEST_SCALE", "1")), deadline=None)
@given(st.lists(pieces, max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_however_the_stream_is_cut_the_result_is_the_same_and_holds_no_secret(parts, steps):
    data = b"".join(parts)
    chunks, place, turn = [], 0, 0
    while place < len(data):
        chunks.append(data[place : place + steps[turn % len(steps)]])
        place, turn = place + len(chunks[-1]), turn + 1
    out = masked(chunks)
    assert out == masked([data])
    for secret in SECRETS:
        for variant in variants(secret):
            assert variant not in out
