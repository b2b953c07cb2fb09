import errno
import os
import subprocess
import sys

import pytest

from flows.redaction import Redactor
from runs import logs
from runs.logs import LogWriter


@pytest.fixture(autouse=True)
def home(tmp_path, settings):
    settings.DEX_HOME = tmp_path
    settings.LOG_HEAD_BYTES, settings.LOG_TAIL_BYTES = 1024, 1024


def written(*pieces, secrets=(), path="1/2.1.log"):
    writer = LogWriter(path, Redactor(secrets))
    for piece in pieces:
        writer.append(piece)
    return writer


def test_a_log_can_be_read_while_it_grows():
    writer = written(b"first\n")
    assert logs.read("1/2.1.log").data == b"first\n"
    writer.append(b"second\n")
    assert logs.read("1/2.1.log", 6).data == b"second\n"
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
    piece = logs.read("1/2.1.log", start, length)
    assert (piece.data, piece.size, piece.end) == (data, 10, piece.start + len(data))


def test_no_read_is_larger_than_its_limit(settings):
    settings.LOG_HEAD_BYTES = 3 * logs.READ_LIMIT
    written(b"x" * (2 * logs.READ_LIMIT)).close()
    assert len(logs.read("1/2.1.log", 0, 10**12).data) == logs.READ_LIMIT


@pytest.mark.parametrize("length", range(1, 9))
def test_pieces_of_a_log_give_its_text_again_wherever_they_were_cut(length):
    text = "añ€😀 z" * 20
    written(text.encode()).close()
    found, at = "", 0
    while at < len(text.encode()):
        piece = logs.read("1/2.1.log", at, max(length, 4))
        assert piece.end > at
        found, at = found + piece.text, piece.end
    assert found == text


def test_binary_output_becomes_text_that_a_page_can_show():
    written(b"a\x00b\xff\xfe\x07\x1b[31mred\x1b[0m\x7f\tc\r\nd\re\n").close()
    text = logs.read("1/2.1.log").text
    assert text == "ab\ufffd\ufffd\x1b[31mred\x1b[0m\tc\nd\ne\n"


def test_what_is_not_utf8_at_all_can_still_be_read_to_its_end():
    written(b"\x80" * 50 + b"\xf0").close()
    at, rounds = 0, 0
    while at < 51 and rounds < 60:
        at, rounds = logs.read("1/2.1.log", at, 7).end, rounds + 1
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
    found = logs.read("1/2.1.log").data
    assert found == data[:1024] + b"\n--- 2952 bytes left out ---\n" + data[-1024:]


def test_a_log_that_just_fits_is_whole():
    data = os.urandom(2048)
    assert written(data[:700], data[700:]).close() == 0
    assert logs.read("1/2.1.log").data == data


def test_a_secret_that_is_cut_by_the_end_of_the_head_is_masked():
    writer = written(b"x" * 1020, b"hunter2-", b"hunter2", b" end", secrets=["hunter2-hunter2"])
    writer.close()
    found = logs.read("1/2.1.log").data
    assert found == b"x" * 1020 + b"[MASKED] end"


def test_a_line_is_there_at_once_though_its_end_could_begin_a_secret():
    writer = LogWriter("1/2.1.log", Redactor(["hunter2-hunter2"]))
    writer.line("say hunter")
    assert logs.read("1/2.1.log").text == "say hunter\n"
    writer.line("\udcff is not text")
    assert logs.read("1/2.1.log", 11).text == "? is not text\n"
    writer.close()


@pytest.mark.parametrize("path", ["../keys/secret_key", "1/../../keys/secret_key", "/etc/passwd", "1/out"])
def test_no_path_leads_out_of_the_folder_of_logs(path, tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "secret_key").write_text("canary")
    (tmp_path / "logs" / "1").mkdir(parents=True)
    (tmp_path / "logs" / "1" / "out").symlink_to(tmp_path / "keys" / "secret_key")
    with pytest.raises(ValueError, match="folder of logs"):
        logs.read(path)
    with pytest.raises(ValueError, match="folder of logs"):
        LogWriter(path, Redactor(()))
    assert (tmp_path / "keys" / "secret_key").read_text() == "canary"


@pytest.mark.parametrize("path", ["", "1", "9/9.9.log", "1/2.1.log/below"])
def test_a_log_that_is_not_there_is_empty(path):
    written(b"x").close()
    assert logs.read(path) == logs.Piece(b"", 0, 0, 0)


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
    assert logs.read("1/2.1.log").data == b"before "


def test_a_disk_that_takes_only_a_part_is_given_the_rest_and_then_counted():
    """A short write is no error; what is left of it must not vanish unseen."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "import django; django.setup()\n"
        "from django.conf import settings\n"
        "settings.LOG_HEAD_BYTES, settings.LOG_TAIL_BYTES = 4096, 1024\n"
        "from flows.redaction import Redactor; from runs.logs import LogWriter, root\n"
        "w = LogWriter('short-of-room/1.1.log', Redactor(())); w.append(b'x' * 1000)\n"
        "print(w.close(), w.path.stat().st_size)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["400", "600"], done.stderr


def test_a_folder_that_cannot_be_made_is_a_log_of_which_everything_is_lost(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "1").write_text("a file where a folder should be")
    assert written(b"lost").close() == 4
    assert logs.read("1/2.1.log").data == b""
