"""Scripts that mean harm, or do it: what they reach, what they leave behind, what they take; real processes.

reliability.md: F6 to F9, S8, S10, S19, S20. They need level 3.
"""

import json
import os
import time
import urllib.request
from pathlib import Path

import pytest

from runs.services import cancel_run
from runs.states import RunState
from tests.helpers.engines import finished, run_to_end, start
from tests.helpers.levels import needs_level
from tests.helpers.processes import with_command
from tests.helpers.waiting import patience, until
from tests.runs.kinds.scripts import log_of, package, variable

pytestmark = [
    pytest.mark.django_db(transaction=True),
    needs_level(3),
]
CANARY = "canary-of-9f1c62e0-4b"

package(
    "prober",
    r"""
import json, os, socket, sys
home, other, port, me = sys.argv[1:5]
found = {}

def tries(name, act):
    try:
        found[name] = str(act())[:200]
    except BaseException as error:
        found[name] = f"refused {type(error).__name__}"

def environments():
    seen = b""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            seen += open(f"/proc/{pid}/environ", "rb").read()
        except OSError:
            pass
    return "dex" if b"DJANGO" in seen or b"DEX_HOME" in seen else "nothing of dex"

def connects(where, family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(2)
        s.connect(where)

def writes(path):
    with open(path, "ab") as file:
        file.write(b"x")

tries("environ", environments)
tries("keys", lambda: open(os.path.join(home, "keys", "variables")).read())
tries("home", lambda: os.listdir(home))
tries("database", lambda: open(os.path.join(home, "dex.sqlite3"), "rb").read(10))
tries("logs", lambda: writes(os.path.join(home, "logs", other)))
tries("work", lambda: os.listdir(os.path.join(home, "work")))
tries("code", lambda: open(os.path.join(me, "dexsite", "settings.py")).read(10))
tries("root", lambda: open("/root/.bashrc").read())
tries("certificates", lambda: len(open("/etc/ssl/certs/ca-certificates.crt").read()) > 0)
tries("names", lambda: socket.gethostbyname("localhost"))
tries("shadow", lambda: open("/etc/shadow").read())
tries("venv", lambda: writes(os.path.join(sys.prefix, "lib", "evil.pth")))
tries("package", lambda: writes(__file__))
tries("python", lambda: writes(os.path.realpath(sys.executable)))
tries("setuid", lambda: os.setuid(0))
tries("signal", lambda: os.kill(-1, 0) or os.kill(1, 9) or "sent")
libc = __import__("ctypes").CDLL(None, use_errno=True)
tries("mount", lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) or "mounted")
tries("engine", lambda: connects(os.path.join(home, "engine.sock"), socket.AF_UNIX))
tries("postgres socket", lambda: connects("/var/run/postgresql/.s.PGSQL.5432", socket.AF_UNIX))
tries("network", lambda: connects(("127.0.0.1", int(port))))
tries("uid", os.getuid)
tries("processes", lambda: len([p for p in os.listdir("/proc") if p.isdigit()]))
print("FOUND=" + json.dumps(found))
""",
)
package(
    "daemoniser",
    r"""
import os, signal, sys, time
def daemon(deaf):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if deaf:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.execve("/bin/sleep", ["sleep", sys.argv[1]], {} if deaf else dict(os.environ))
        os._exit(0)
    os.wait()
if os.fork() == 0:
    os.execv("/bin/sleep", ["sleep", sys.argv[1]])
daemon(False); daemon(True)
print("spawned", flush=True)
time.sleep(float(sys.argv[2]))
""",
)
package("bomb", "import os\nwhile True:\n    os.fork()\n")
package("hog", "x = bytearray(12 << 30)\n")
package(
    "writer_of_files",
    "import os\nwith open(os.environ['TMPDIR'] + '/x', 'wb') as f:\n    while True:\n        f.write(b'x' * 2**20)\n",
)
package("six", "import six\nprint('six', six.__version__)\n", requirements="six==1.17.0\n")
package("no_such", "print(1)\n", requirements="six==99.99\n")
for number, text in enumerate(
    [
        "-r /etc/passwd\n",
        "--extra-index-url http://127.0.0.1/\nsix\n",
        "six @ https://127.0.0.1/six.whl\n",
        "git+https://h/x\n",
        "-e .\n",
        "./local\n",
    ]
):
    package(f"asks{number}", "print(1)\n", requirements=text)
package(
    "told",
    "import os, base64\nv = os.environ['TOKEN']\n"
    "print(v, base64.b64encode(v.encode()).decode(), v.encode().hex(), repr(v))\nraise ValueError(v)\n",
)


def sleeping(mark: str) -> int:
    return len(with_command("sleep", mark))


@pytest.fixture
def mark():
    return f"{400 + os.getpid() / 1e7 + time.monotonic() % 1:.9f}"


def probe(flow, settings, port: int):
    values = [str(settings.DEX_HOME), "1/1.1.log", str(port), str(settings.BASE_DIR)]
    flow.nodes.update(arguments=[{"key": f"p{n}", "value": value} for n, value in enumerate(values)])
    run = run_to_end(flow)
    assert run.state == RunState.SUCCEEDED, (run.reason, log_of(run))
    line = next(line for line in log_of(run).splitlines() if line.startswith("FOUND="))
    return json.loads(line.removeprefix("FOUND="))


@pytest.fixture
def listener():
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_script_reaches_nothing_of_dex_and_of_the_machine(engine, script_flow, settings, listener):
    (Path(settings.DEX_HOME) / "keys").mkdir(exist_ok=True)
    flow = script_flow("prober", uses_warehouse=False)
    variable(flow, "TOKEN", CANARY, secret=True)  # so that there are keys to look for
    found = probe(flow, settings, listener)
    for name in ("keys", "database", "logs", "code", "root", "shadow", "venv", "package", "python", "setuid"):
        assert found[name].startswith("refused"), (name, found[name])
    for name in ("signal", "engine", "postgres socket"):
        assert found[name].startswith("refused"), (name, found[name])
    assert found["work"].count("'") == 2  # its own folder alone
    assert found["mount"] != "mounted" and found["environ"] == "nothing of dex"
    assert set(json.loads(found["home"].replace("'", '"'))) <= {
        "dbt",
        "virtualenvs",
        "work",
    }  # ways to what it may see
    assert int(found["processes"]) <= 4
    assert (found["names"], found["certificates"]) == ("127.0.0.1", "True")  # what every program needs is there
    assert found["network"] == "None"  # it has the network unless that is taken
    if os.getuid() == 0:
        assert int(found["uid"]) in settings.SCRIPT_UIDS


def test_a_script_without_the_network_reaches_no_port(engine, script_flow, settings, listener):
    found = probe(script_flow("prober", network=False, uses_warehouse=False), settings, listener)
    assert found["network"].startswith("refused")


@pytest.mark.parametrize("how", ["its end", "a cancel", "a timeout"])
def test_nothing_that_a_script_starts_outlives_it(engine, script_flow, settings, mark, how):
    settings.KILL_GRACE_S = 0.5
    stays = "0" if how == "its end" else "600"
    pairs = [("mark", mark), ("stays", stays)]
    flow = script_flow("daemoniser", arguments=pairs, timeout=2 if how == "a timeout" else None, uses_warehouse=False)
    run = start(flow)
    if how == "a cancel":
        until(lambda: sleeping(mark) == 3, 30)
        cancel_run(run.pk, actor="ada")
    run = finished(run)
    expected = {"its end": "succeeded", "a cancel": "cancelled", "a timeout": "failed"}[how]
    assert run.state == expected
    until(lambda: sleeping(mark) == 0, 3, "the end of what it started")


def test_a_fork_bomb_hits_its_own_limit_and_the_site_goes_on_answering(engine, script_flow, settings, live_server):
    settings.SCRIPT_PROCESSES, settings.KILL_GRACE_S = 64, 0.5
    run = start(script_flow("bomb", timeout=20, uses_warehouse=False))
    took = []
    while not run.is_over:
        began = time.monotonic()
        with urllib.request.urlopen(f"{live_server.url}/healthz", timeout=patience(10)) as answer:
            assert answer.status == 200
        took.append(time.monotonic() - began)
        time.sleep(0.05)
        run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert sorted(took)[int(len(took) * 0.95) - 1] < patience(1)


@pytest.mark.parametrize(("name", "said"), [("hog", "MemoryError"), ("writer_of_files", "")])
def test_a_script_that_exceeds_a_limit_fails_alone(engine, script_flow, settings, name, said):
    settings.SCRIPT_FILE_MB = 20
    run = run_to_end(script_flow(name, uses_warehouse=False))
    task = run.task_runs.get()
    assert run.state == RunState.FAILED and said in task.reason


def test_a_secret_that_a_script_prints_is_masked_in_every_form(engine, script_flow, settings):
    flow = script_flow("told", uses_warehouse=False)
    variable(flow, "TOKEN", CANARY, secret=True)
    run = run_to_end(flow)
    task = run.task_runs.get()
    assert CANARY not in log_of(run) and log_of(run).count("[MASKED]") >= 4
    assert CANARY not in task.reason and "[MASKED]" in task.reason
    for path in Path(settings.DEX_HOME).rglob("*"):
        if path.is_file() and path.stat().st_size < 5_000_000:
            assert CANARY.encode() not in path.read_bytes(), path


# --- environments ---------------------------------------------------------------------------------------------------
def test_requirements_are_there_and_their_environment_is_used_again(engine, script_flow):
    flow = script_flow("six", uses_warehouse=False)
    first = run_to_end(flow)
    assert first.state == RunState.SUCCEEDED and "six 1.17.0" in log_of(first)
    second = run_to_end(flow)
    assert "building a virtual environment" in log_of(first) and "building" not in log_of(second)


def test_a_missing_requirement_is_reported_in_the_resolvers_words(engine, script_flow):
    run = run_to_end(script_flow("no_such", retries=2, retry_delay=0, uses_warehouse=False))
    task = run.task_runs.get()
    assert "six==99.99" in task.reason and "cannot be built" in task.reason
    assert task.tries.count() == 1  # another try would not help
    assert "six==99.99" in log_of(run)


@pytest.mark.parametrize("number", range(6))
def test_requirements_that_come_from_elsewhere_are_refused(engine, script_flow, number):
    run = run_to_end(script_flow(f"asks{number}", uses_warehouse=False))
    assert run.state == RunState.FAILED and "requirements.txt, line 1" in run.task_runs.get().reason


def test_a_machine_below_the_level_asked_for_runs_no_script(engine, script_flow, settings):
    settings.ISOLATION = 4
    run = run_to_end(script_flow("told", uses_warehouse=False))
    assert "DEX_ISOLATION requires 4" in run.task_runs.get().reason
