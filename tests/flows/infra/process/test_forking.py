"""Children that find their imports done: each is a process of its own all the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.infra import process
from flows.infra.process import forking
from flows.infra.process.child import ForkedChild
from tests.helpers.paths import ROOT
from tests.helpers.processes import with_command
from tests.helpers.waiting import comes, patience, within

pytestmark = pytest.mark.process

PRELOAD = process.Preload(("slow_to_import",))


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder of modules; write(name, code) adds one. The servers that serve from it end with the test."""
    folder = tmp_path / "modules"
    folder.mkdir()

    def write(name: str, code: str) -> None:
        (folder / f"{name}.py").write_text(code)

    write.folder = folder
    write(
        "slow_to_import",
        "from pathlib import Path\nwith Path(__file__).with_name('imports').open('a') as f: f.write('x')",
    )
    monkeypatch.setattr(forking, "_servers", {})
    monkeypatch.setattr(forking, "_failed", {})
    yield write
    forking.close_all()


@pytest.fixture
def mark():
    """A number of seconds that no other process on this machine sleeps."""
    return f"{400 + os.getpid() / 1e7 + time.monotonic() % 1:.9f}"


def start(modules, code: str, *arguments: str, **options):
    """A child that runs the code, forked; and what it prints."""
    modules("task", code)
    output = bytearray()
    extra = options.pop("env", {})
    env = process.clean_environment({"PYTHONPATH": str(modules.folder), **extra})
    options = {"cwd": "/", "on_output": output.extend, "preload": PRELOAD, **options}
    return process.start([sys.executable, "-m", "task", *arguments], env=env, **options), output


def said(modules, code: str, *arguments: str, **options):
    """What such a child prints until its end, as JSON; and its exit code."""
    child, output = start(modules, code, *arguments, **options)
    assert isinstance(child, ForkedChild)
    code = child.wait(patience(20))
    return json.loads(output or b"null"), code


def test_a_slow_import_is_done_once_for_many_children(modules):
    code = "import json, os, sys\nprint(json.dumps(['slow_to_import' in sys.modules, os.getpid()]))"
    answers = [said(modules, code) for _ in range(3)]
    assert [answer[0][0] for answer in answers] == [True] * 3
    assert (modules.folder / "imports").read_text() == "x"


def test_what_can_wait_is_imported_when_there_is_a_moment(modules):
    modules("can_wait", "")
    preload = process.Preload(PRELOAD.modules, later=("can_wait",))
    code = "import json, sys\nprint(json.dumps('can_wait' in sys.modules))"
    assert said(modules, code, preload=preload)[0] is False
    assert comes(lambda: said(modules, code, preload=preload)[0] or time.sleep(1), 20)


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('no')", 1),
        ("raise ValueError", 1),
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), 9)", 137),
        ("os.kill(os.getpid(), 15)", 143),
        ("import atexit; atexit.register(os._exit, 5)", 5),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(.2), os._exit(6))).start()", 6),
    ],
)
def test_it_ends_with_the_exit_code_that_python_would_give(modules, ending, expected):
    child, _ = start(modules, f"import os, sys\n{ending}")
    assert child.wait(patience(20)) == expected
    assert child.signal == (expected - 128 if expected > 128 else None)


def test_a_child_has_its_own_arguments_variables_folder_and_pipes(modules, tmp_path):
    code = """
import json, os, sys, tempfile
print(json.dumps({"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd(), "name": __name__,
                  "tmp": tempfile.gettempdir(), "line": sys.stdin.readline(), "umask": oct(os.umask(0o77))}))
print("aside", file=sys.stderr)
"""
    modules("slow_to_import", "import tempfile; tempfile.gettempdir()")
    modules("task", code)
    aside = bytearray()
    env = process.clean_environment({"PYTHONPATH": str(modules.folder), "MINE": "1", "TMPDIR": str(tmp_path)})
    child = process.start(
        [sys.executable, "-m", "task", "a b", "c"],
        env=env,
        cwd=tmp_path,
        stdin=process.PIPE,
        stdout=process.PIPE,
        on_output=aside.extend,
        preload=PRELOAD,
    )
    child.stdin.write(b"hello\n")
    with os.fdopen(os.dup(child.stdout.fileno()), "rb") as lines:
        answer = json.loads(lines.readline())
    assert child.wait(patience(20)) == 0
    assert answer.pop("env") == env
    assert answer == {
        "argv": ["a b", "c"],
        "cwd": str(tmp_path),
        "name": "__main__",
        "tmp": str(tmp_path),
        "line": "hello\n",
        "umask": "0o77",
    }
    assert aside == b"aside\n"


def test_secrets_of_one_child_do_not_reach_the_next(modules):
    code = "import json, os, sys\nsys.left = os.environ.get('TOKEN')\nprint(json.dumps([sys.left, sys.left]))"
    assert said(modules, code, env={"TOKEN": "abc"})[0] == ["abc", "abc"]
    code = "import json, os, sys\nprint(json.dumps([os.environ.get('TOKEN'), getattr(sys, 'left', None)]))"
    assert said(modules, code)[0] == [None, None]
    servers = Path("/proc", str(next(iter(forking._servers.values())).child.pid))
    assert b"TOKEN" not in (servers / "environ").read_bytes()


def test_limits_hold_for_the_child_alone(modules):
    code = "import json, resource\nprint(json.dumps(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))"
    free, _ = said(modules, code)
    assert said(modules, code, limits=process.Limits(open_files=50))[0] == 50
    assert said(modules, code)[0] == free


def test_it_hears_an_interrupt(modules):
    code = "import time\nprint(1, flush=True)\ntry:\n time.sleep(60)\nexcept KeyboardInterrupt:\n print(2)"
    child, output = start(modules, code)
    assert comes(lambda: output == b"1\n", 10)
    assert child.kill_tree(grace_int=patience(5)) == 0
    assert output == b"1\n2\n"


@pytest.mark.parametrize("way", ["ends by itself", "is killed", "is killed by others"])
def test_what_it_left_behind_ends_with_it(modules, mark, way):
    code = f"""
import os, subprocess, sys, time
subprocess.Popen(["setsid", "sleep", "{mark}"], env={{}})
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv("/bin/sleep", ["sleep", "{mark}"])
    os._exit(0)
os.wait()
print("up", flush=True)
time.sleep({0.5 if way == "ends by itself" else 60})
"""
    child, output = start(modules, code)
    assert comes(lambda: output == b"up\n" and len(with_command("sleep", mark)) == 2, 10)
    if way == "is killed":
        child.kill()
    elif way == "is killed by others":
        os.kill(child.pid, signal.SIGKILL)
    assert child.wait(patience(10)) == (0 if way == "ends by itself" else 137)
    assert with_command("sleep", mark) == []


def test_it_ends_when_dex_is_killed(modules, mark):
    modules("task", f"import os; print('up', flush=True); os.execv('/bin/sleep', ['sleep', '{mark}'])")
    code = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from flows.infra import process
env = process.clean_environment({{"PYTHONPATH": {str(modules.folder)!r}}})
process.start([sys.executable, "-m", "task"], env=env, cwd="/", preload=process.{PRELOAD!r}, on_output=bytes)
time.sleep(60)
"""
    dex = subprocess.Popen([sys.executable, "-c", code])
    assert comes(lambda: with_command("sleep", mark), 20)
    dex.kill()
    dex.wait()
    assert comes(lambda: not with_command("sleep", mark), 3)


def test_children_side_by_side_do_not_wait_for_each_other(modules):
    code = "import sys; sys.stdin.read()"
    children = [start(modules, code, stdin=process.PIPE)[0] for _ in range(5)]
    assert all(child.poll() is None for child in children)
    with within(5):
        for child in reversed(children):
            child.stdin.close()
            assert child.wait(patience(10)) == 0


def test_when_the_server_was_killed_the_next_child_gets_another(modules):
    code = "import json; print(json.dumps('done'))"
    assert said(modules, code)[0] == "done"
    server = next(iter(forking._servers.values()))
    server.child.kill()
    assert said(modules, code)[0] == "done"
    assert (modules.folder / "imports").read_text() == "xx"


def test_a_server_that_nobody_needs_ends_by_itself(modules, monkeypatch):
    monkeypatch.setattr(forking, "IDLE_S", 0.2)
    code = "import json; print(json.dumps('done'))"
    assert said(modules, code)[0] == "done"
    server = next(iter(forking._servers.values()))
    assert comes(lambda: not server.alive, 60)
    assert said(modules, code)[0] == "done"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "threads"),
        ("import os; os._exit(3)", "it ended"),
    ],
)
def test_where_imports_cannot_be_shared_the_child_starts_alone_and_the_log_says_why(modules, caplog, wrong, told):
    modules("slow_to_import", wrong)
    for _ in range(2):
        child, output = start(modules, "print('alone')")
        assert (child.wait(patience(20)), bytes(output)) == (0, b"alone\n")
        assert not isinstance(child, ForkedChild)
    assert told in caplog.messages[0]
    assert "could not start a moment ago" in caplog.messages[1]
