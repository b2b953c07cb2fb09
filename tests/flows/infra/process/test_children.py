"""Child processes as a flow meets them: real ones, also those that misbehave."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flows.infra import process
from flows.infra.process.table import descendants
from tests.helpers.levels import needs_level
from tests.helpers.paths import ROOT
from tests.helpers.processes import with_command
from tests.helpers.waiting import comes, patience, within

pytestmark = pytest.mark.process


needs_namespace = needs_level(3)

# Ends up with four processes: a child, a daemon, and a daemon with an empty environment that hears no TERM.
DAEMONISER = """
import os, signal, time
def daemon(deaf):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if deaf:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.execve("/bin/sleep", ["sleep", MARK], {} if deaf else dict(os.environ))
        os._exit(0)
    os.wait()
if os.fork() == 0:
    os.execv("/bin/sleep", ["sleep", MARK])
daemon(False)
daemon(True)
print("spawned", flush=True)
"""


@pytest.fixture
def mark():
    """A number of seconds that no other process on this machine sleeps."""
    return f"{300 + os.getpid() / 1e7 + time.monotonic() % 1:.9f}"


def sleeping(mark: str) -> int:
    return len(with_command("sleep", mark))


def eventually(condition, seconds=3.0):
    return comes(condition, seconds, pause=0.02)


class Output:
    def __init__(self):
        self.data = bytearray()

    def __call__(self, piece: bytes) -> None:
        self.data += piece

    def wait_for(self, text: bytes, seconds: float = 10) -> None:
        assert eventually(lambda: text in self.data, seconds), bytes(self.data)


def started(code: str, **options) -> tuple[process.Child, Output]:
    output = Output()
    argv = [sys.executable, "-c", code] if "import" in code else ["sh", "-c", code]
    options.setdefault("env", process.clean_environment())
    return process.start(argv, cwd="/", on_output=output, **options), output


def test_a_command_says_how_it_ended_and_what_it_printed():
    answer = process.run(
        ["sh", "-c", "echo out; echo err >&2; exit 3"], env=process.clean_environment(), cwd="/", timeout=patience(10)
    )
    assert (answer.exit_code, answer.output, answer.errors, answer.ok) == (3, b"out\n", b"err\n", False)


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(mark):
    with within(5):
        answer = process.run(
            ["sh", "-c", f"sleep {mark} & sleep {mark}"], env=process.clean_environment(), cwd="/", timeout=0.3
        )
    assert answer.exit_code is None
    assert eventually(lambda: sleeping(mark) == 0)


def test_nothing_of_dex_own_environment_reaches_a_child(monkeypatch):
    monkeypatch.setenv("DEX_SECRET_KEY", "not for scripts")
    answer = process.run(["env"], env=process.clean_environment({"MINE": "1"}), cwd="/", timeout=patience(10))
    names = {line.partition("=")[0] for line in answer.output.decode().splitlines()}
    assert "DEX_SECRET_KEY" not in names
    assert {"MINE", "PATH", "HOME", "LANG", "TZ"} <= names


@needs_namespace
def test_a_child_sees_no_other_processes():
    answer = process.run(
        ["sh", "-c", "ls /proc | grep -c '^[0-9]*$'"], env=process.clean_environment(), cwd="/", timeout=patience(10)
    )
    assert int(answer.output) < 8


def test_files_of_a_child_are_private(tmp_path):
    process.run(["sh", "-c", "echo x > made"], env=process.clean_environment(), cwd=tmp_path, timeout=patience(10))
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600


def test_a_child_cannot_take_more_memory_than_its_limit():
    answer = process.run(
        [sys.executable, "-c", "bytearray(1 << 30)"],
        env=process.clean_environment(),
        cwd="/",
        timeout=patience(20),
        limits=process.Limits(memory=300 << 20),
    )
    assert answer.exit_code == 1
    assert b"MemoryError" in answer.errors


def test_a_child_leaves_no_core_dump():
    answer = process.run(["sh", "-c", "ulimit -c"], env=process.clean_environment(), cwd="/", timeout=patience(10))
    assert answer.output == b"0\n"


def test_the_signal_that_ended_a_child_is_known():
    child, _ = started("kill -9 $$")
    assert child.wait(patience(10)) == 137
    assert child.signal == signal.SIGKILL


def test_a_script_can_be_interrupted_as_by_ctrl_c():
    child, output = started(
        "import time\nprint('up', flush=True)\n"
        "try:\n time.sleep(60)\nexcept KeyboardInterrupt:\n print('tidy', flush=True)"
    )
    output.wait_for(b"up")
    assert child.kill_tree(grace_int=10) == 0
    assert b"tidy" in output.data


def test_a_worker_that_ignores_interrupts_still_starts_children_that_hear_them():
    """As Celery's prefork workers do."""
    code = f"""
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path.insert(0, {str(ROOT)!r})
from flows.infra import process
child = process.start(["sleep", "60"], env=process.clean_environment(), cwd="/")
time.sleep(0.5)
child.interrupt()
print(child.wait(5), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=patience(30), check=True
    )
    assert done.stdout.strip() == "130"


def test_a_child_that_ignores_interrupts_and_term_is_killed():
    child, output = started("trap '' INT TERM; echo deaf; while true; do sleep 0.1; done")
    output.wait_for(b"deaf")
    with within(3):
        assert child.kill_tree(grace_int=0.3, grace_term=0.3) == 137


def test_a_child_that_was_stopped_is_killed():
    child, output = started("import os, signal, time\nprint('up', flush=True)\ntime.sleep(60)")
    output.wait_for(b"up")
    child.send(signal.SIGSTOP)
    assert child.kill_tree(grace_int=0.2, grace_term=0.2) == 137


@needs_namespace
@pytest.mark.parametrize("way", ["ends by itself", "is cancelled", "is killed"])
def test_daemons_do_not_survive_their_script(way, mark):
    wait = "" if way == "ends by itself" else "time.sleep(60)"
    child, output = started(DAEMONISER.replace("MARK", repr(mark)) + wait)
    output.wait_for(b"spawned")
    if way == "is cancelled":
        assert eventually(lambda: sleeping(mark) == 3)
        child.kill_tree(grace_int=5)
    elif way == "is killed":
        child.kill()
    assert child.wait(patience(10)) is not None
    assert eventually(lambda: sleeping(mark) == 0, 1)


@needs_namespace
def test_nothing_survives_when_dex_is_killed(mark):
    code = f"""
import sys, threading, time
sys.path.insert(0, {str(ROOT)!r})
from flows.infra import process
script = {DAEMONISER.replace("MARK", repr(mark)) + "time.sleep(60)"!r}
def go():  # a thread that ends at once: the child must not end with it
    process.start([sys.executable, "-c", script], env=process.clean_environment(), cwd="/",
                  on_output=lambda data: print(data.decode(), flush=True))
thread = threading.Thread(target=go)
thread.start()
thread.join()
time.sleep(60)
"""
    dex = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert dex.stdout and b"spawned" in dex.stdout.readline()
    assert eventually(lambda: sleeping(mark) == 3)
    dex.kill()
    dex.wait()
    dex.stdout.close()
    assert eventually(lambda: sleeping(mark) == 0, 2)


def test_a_child_lives_on_when_the_thread_that_asked_for_it_ends():
    made: list[process.Child] = []
    thread = threading.Thread(target=lambda: made.append(started("sleep 30")[0]))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert made[0].poll() is None
    made[0].kill()


def test_a_child_without_namespace_takes_its_group_with_it(mark):
    child, output = started(f"sleep {mark} & echo up; sleep {mark}", isolate=False)
    output.wait_for(b"up")
    assert eventually(lambda: sleeping(mark) == 2)
    child.kill_tree(grace_int=2)
    assert eventually(lambda: sleeping(mark) == 0)


@pytest.mark.parametrize("isolate", [True, False])
def test_the_end_of_the_script_decides_not_the_end_of_its_output(isolate, mark):
    with within(4):
        child, output = started(f"setsid sleep {mark} & echo done; exit 4", isolate=isolate)
        assert child.wait(patience(10)) == 4
    assert output.data == b"done\n"
    for pid in with_command("sleep", mark):
        os.kill(pid, signal.SIGKILL)


def test_a_script_that_closes_its_output_still_runs():
    child, _ = started("exec >&- 2>&-; sleep 0.5; exit 5")
    assert child.wait(0.2) is None
    assert child.wait(patience(10)) == 5


def test_much_output_neither_stops_the_child_nor_gets_lost():
    size = 0

    def count(data: bytes) -> None:
        nonlocal size
        size += len(data)

    child = process.start(
        ["sh", "-c", "head -c 200000000 /dev/zero"], env=process.clean_environment(), cwd="/", on_output=count
    )
    assert child.wait(patience(30)) == 0
    assert size == 200_000_000


def test_a_listener_that_fails_does_not_stop_the_child():
    def fail(data: bytes) -> None:
        raise OSError("disk full")

    child = process.start(
        ["sh", "-c", "head -c 5000000 /dev/zero; exit 6"], env=process.clean_environment(), cwd="/", on_output=fail
    )
    assert child.wait(patience(20)) == 6
    assert isinstance(child.output_error, OSError)


def test_a_conversation_over_pipes_keeps_errors_apart():
    output = Output()
    child = process.start(
        ["sh", "-c", "read line; echo got $line; echo aside >&2"],
        env=process.clean_environment(),
        cwd="/",
        stdin=process.PIPE,
        stdout=process.PIPE,
        on_output=output,
    )
    assert child.stdin and child.stdout
    child.stdin.write(b"this\n")
    assert child.stdout.readline() == b"got this\n"
    assert child.wait(patience(10)) == 0
    assert output.data == b"aside\n"
    child.stdin.close()
    child.stdout.close()


def test_a_leftover_of_a_dead_worker_is_killed_only_if_it_is_the_same_process(mark):
    child, output = started(f"echo up; sleep {mark}", isolate=False)
    output.wait_for(b"up")
    assert not process.kill_leftover(child.pid, child.pid_start + 1, process.boot_id())
    assert not process.kill_leftover(child.pid, child.pid_start, "another boot")
    assert not process.kill_leftover(child.pid, 0, process.boot_id())
    assert child.poll() is None
    assert process.kill_leftover(child.pid, child.pid_start, process.boot_id())
    assert child.wait(patience(5)) == 137
    assert eventually(lambda: sleeping(mark) == 0)
    assert not process.kill_leftover(child.pid, child.pid_start, process.boot_id())


def test_a_missing_program_is_distinguished_from_one_that_fails():
    answer = process.run(["no-such-program"], env=process.clean_environment(), cwd="/", timeout=patience(10))
    assert answer.exit_code == 127
    assert b"no-such-program" in answer.errors


def test_no_process_is_left_behind_by_these_tests():
    assert eventually(lambda: not [pid for pid in descendants(os.getpid()) if _name(pid) == "sleep"])


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
