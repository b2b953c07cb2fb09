import errno
import os
import subprocess
import sys

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from flows.infra.redaction import Redactor
from runs.logs import store
from runs.logs.store import LogWriter

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def home(tmp_path, settings):
    settings.DEX_HOME = tmp_path
    settings.LOG_HEAD_BYTES, settings.LOG_TAIL_BYTES = 1024, 1024


def written(*pieces, secrets=(), path="1/2.1.log", **options):
    writer = LogWriter(path, Redactor(secrets), **options)
    for piece in pieces:
        writer.append(piece)
    return writer


def test_a_log_can_be_read_while_it_grows():
    writer = written(b"first\n")
    assert store.read("1/2.1.log").data == b"first\n"
    writer.append(b"second\n")
    assert store.read("1/2.1.log", 6).data == b"second\n"
    assert writer.close() == 0


@pytest.mark.parametrize(
    ("start", "length", "data"),
    [
        (0, 100, b"0123456789"),
        (3, 4, b"3456"),
        (-3, 100, b"789"),
        (-99, 2, b"01"),
        (10, 5, b""),
        (99, 5, b""),
        (10**30, 5, b""),
        (0, 0, b""),
        (4, -1, b""),
    ],
)
def test_a_log_is_read_by_byte_range(start, length, data):
    written(b"0123456789").close()
    piece = store.read("1/2.1.log", start, length)
    assert (piece.data, piece.size, piece.end) == (data, 10, piece.start + len(data))


def test_no_read_is_larger_than_its_limit(settings):
    settings.LOG_HEAD_BYTES = 3 * store.READ_LIMIT
    written(b"x" * (2 * store.READ_LIMIT)).close()
    assert len(store.read("1/2.1.log", 0, 10**12).data) == store.READ_LIMIT


@pytest.mark.parametrize("length", range(1, 9))
def test_pieces_of_a_log_give_its_text_again_wherever_they_were_cut(length):
    text = "añ€😀 z" * 20
    written(text.encode()).close()
    found, at = "", 0
    while at < len(text.encode()):
        piece = store.read("1/2.1.log", at, max(length, 4))
        assert piece.end > at
        found, at = found + piece.text, piece.end
    assert found == text


def test_binary_output_becomes_text_that_a_page_can_show():
    written(b"a\x00b\xff\xfe\x07\x1b[31mred\x1b[0m\x7f\tc\r\nd\re\n").close()
    text = store.read("1/2.1.log").text
    assert text == "ab\ufffd\ufffd\x1b[31mred\x1b[0m\tc\ne\n"


def test_a_log_that_is_not_utf8_can_still_be_read_to_its_end():
    written(b"\x80" * 50 + b"\xf0").close()
    at, rounds = 0, 0
    while at < 51 and rounds < 60:
        at, rounds = store.read("1/2.1.log", at, 7).end, rounds + 1
    assert at == 51


@pytest.mark.parametrize("sizes", [[5000], [1000] * 5, [1] * 5000, [1024, 3976], [3000, 1, 1999]])
def test_of_a_long_log_the_head_and_the_tail_are_kept_and_a_line_says_what_is_missing(sizes):
    data = bytes(ord("a") + number % 26 for number in range(5000))
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    writer = written(*pieces)
    assert writer.close() == writer.dropped == 5000 - 2048
    found = store.read("1/2.1.log").data
    assert found == data[:1024] + b"\n--- 2952 bytes left out ---\n" + data[-1024:]


def test_a_log_that_just_fits_is_whole():
    data = os.urandom(2048)
    assert written(data[:700], data[700:], exact=True).close() == 0
    assert store.read("1/2.1.log").data == data


def test_a_secret_that_is_cut_by_the_end_of_the_head_is_masked():
    writer = written(b"x" * 1020, b"hunter2-", b"hunter2", b" end", secrets=["hunter2-hunter2"])
    writer.close()
    found = store.read("1/2.1.log").data
    assert found == b"x" * 1020 + b"[MASKED] end"


def test_a_line_is_there_at_once_though_its_end_could_begin_a_secret():
    writer = LogWriter("1/2.1.log", Redactor(["hunter2-hunter2"]))
    writer.line("say hunter")
    assert store.read("1/2.1.log").text == "say hunter\n"
    writer.line("\udcff is not text")
    assert store.read("1/2.1.log", 11).text == "? is not text\n"
    writer.close()


@pytest.mark.parametrize("path", ["../keys/secret_key", "1/../../keys/secret_key", "/etc/passwd", "1/out"])
def test_no_path_leads_out_of_the_folder_of_logs(path, tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "secret_key").write_text("canary")
    (tmp_path / "logs" / "1").mkdir(parents=True)
    (tmp_path / "logs" / "1" / "out").symlink_to(tmp_path / "keys" / "secret_key")
    with pytest.raises(ValueError, match="folder of logs"):
        store.read(path)
    with pytest.raises(ValueError, match="folder of logs"):
        LogWriter(path, Redactor(()))
    assert (tmp_path / "keys" / "secret_key").read_text() == "canary"


@pytest.mark.parametrize("path", ["", "1", "9/9.9.log", "1/2.1.log/below"])
def test_a_log_that_is_not_there_is_empty(path):
    written(b"x").close()
    assert store.read(path) == store.Piece(b"", 0, 0, 0)


def test_a_full_disk_is_counted_and_never_fails_the_task(monkeypatch):
    writer = written(b"before ")

    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    writer._file = Full()
    writer.append(b"lost")
    writer.line("lost too")
    assert writer.close() == len(b"lostlost too\n")
    assert store.read("1/2.1.log").data == b"before "


def test_a_disk_that_takes_only_a_part_is_given_the_rest_and_then_counted():
    """A short write is no error; what is left of it must not vanish unseen."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "import django; django.setup()\n"
        "from django.conf import settings\n"
        "settings.LOG_HEAD_BYTES, settings.LOG_TAIL_BYTES = 4096, 1024\n"
        "from flows.infra.redaction import Redactor; from runs.logs.store import LogWriter, root\n"
        "w = LogWriter('short-of-room/1.1.log', Redactor(())); w.append(b'x' * 1000)\n"
        "print(w.close(), w.path.stat().st_size)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["400", "600"], done.stderr


def test_a_log_whose_folder_cannot_be_created_counts_everything_as_lost(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "1").write_text("a file where a folder should be")
    assert written(b"lost").close() == 4
    assert store.read("1/2.1.log").data == b""


# --- lines that are drawn again ------------------------------------------------------------------------------------
def bar(upto, *, lead=True):
    """What a progress bar prints, returning before each state or after it."""
    states = [f"{n:3d} % |{'#' * n:100}|" for n in range(upto + 1)]
    return "".join(f"\r{state}" if lead else f"{state}\r" for state in states).encode()


@pytest.mark.parametrize("lead", [True, False])
@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_of_a_progress_bar_the_file_holds_the_last_state_however_its_output_was_cut(lead, size, settings):
    settings.LOG_HEAD_BYTES = 4096
    data = b"begins\r\n" + bar(100, lead=lead) + b"\nends\n"
    writer = written(*(data[at : at + size] for at in range(0, len(data), size)))
    full = f"100 % |{'#' * 100}|"
    assert store.read("1/2.1.log").data == f"begins\n{full}\nends\n".encode()
    assert writer.close() == 0


def test_a_progress_bar_is_in_the_file_as_it_is_now_before_its_line_ends():
    writer = written(b"begins\n", b"\r 10 %", b"\r 20 %")
    assert store.read("1/2.1.log").data == b"begins\n 20 %"
    writer.append(b"\r")
    assert store.read("1/2.1.log").data == b"begins\n 20 %"  # nothing came instead of it yet
    writer.append(b" 3")
    writer.append(b"0 %")
    assert store.read("1/2.1.log").data == b"begins\n 30 %"
    writer.append(b"\r\n\rdone")
    writer.close()
    assert store.read("1/2.1.log").data == b"begins\n 30 %\ndone"


def test_a_bar_that_is_drawn_for_hours_takes_the_room_of_one_line_and_drops_nothing():
    writer = written(b"begins\n")
    sizes = set()
    for n in range(5000):
        writer.append(f"\rstep {n:06d} of many".encode())
        sizes.add(writer.path.stat().st_size)
    writer.append(b"\nends\n")
    assert max(sizes) < 100 and writer.close() == 0
    assert store.read("1/2.1.log").data == b"begins\nstep 004999 of many\nends\n"


@pytest.mark.parametrize("before", [1000, 1020, 1024, 1500, 3000])
def test_a_bar_beyond_the_head_is_kept_in_its_last_state_too(before):
    writer = written(b"x" * (before - 1) + b"\n")
    missing = max(0, before - 2048)
    for n in range(500):
        writer.append(f"\rstep {n:03d}{'.' * 100}".encode())
    writer.append(b"\rall\n")
    expected = b"x" * (before - 1) + b"\nall\n"
    dropped = writer.close()
    found = store.read("1/2.1.log").data
    if not missing:
        assert (found, dropped) == (expected, 0)
    else:
        assert found.endswith(b"\nall\n") and b"step" not in found and b"bytes left out" in found


def test_a_state_longer_than_all_that_is_kept_is_forgotten_as_any_other():
    writer = written(b"begins\n", b"y" * 10_000, b"\rshort\n")
    assert writer.close() == 0
    assert store.read("1/2.1.log").data == b"begins\nshort\n"


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_a_secret_in_a_bar_is_masked_in_every_state_that_reaches_the_disk(size):
    data = b"".join(b"\r%3d %% of hunter2-hunter2" % n for n in range(101)) + b"\nhunter2-\rhunter2\n"
    writer = LogWriter("1/2.1.log", Redactor(["hunter2-hunter2"]))
    for at in range(0, len(data), size):
        writer.append(data[at : at + size])
        assert b"hunter2-h" not in writer.path.read_bytes()
    writer.close()
    assert store.read("1/2.1.log").data == b"100 % of [MASKED]\nhunter2\n"


def test_no_secret_of_two_lines_comes_together_when_what_stood_between_is_drawn_over():
    """Its first line, a bar, and its second line: only after the bar is drawn over they stand side by side."""
    writer = written(b"first-half-of-it\n50 %\rsecond-half-of-it\n", secrets=["first-half-of-it\nsecond-half-of-it"])
    writer.close()
    found = store.read("1/2.1.log").data
    assert b"half" not in found


def test_output_without_terminal_codes_is_kept_byte_for_byte():
    data = b"select 1 as id, 'a\rb' as text\r\nfrom x\r"
    written(data, exact=True).close()
    assert store.read("1/2.1.log").data == data


@limits(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b"bc", b"\r\n", b"d" * 40, b"hunter22"]), max_size=80), st.data())
def test_any_output_becomes_the_last_states_of_its_lines_however_it_is_cut(tmp_path_factory, pieces, data):
    whole = b"".join(pieces)
    with override_settings(
        DEX_HOME=tmp_path_factory.mktemp("drawn"), LOG_HEAD_BYTES=data.draw(st.integers(1, 200)), LOG_TAIL_BYTES=10_000
    ):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
        writer = LogWriter("1/2.1.log", Redactor(["hunter22"]))
        for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            writer.append(whole[begin:end])
        assert writer.close() == 0
        found = store.read("1/2.1.log").data
    lines = [line.rstrip(b"\r").rpartition(b"\r")[2] for line in whole.replace(b"hunter22", b"[MASKED]").split(b"\n")]
    assert found == b"\n".join(lines)
