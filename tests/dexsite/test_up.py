"""`manage.py up` and `demo` as a person starts them: real processes, a real browser's requests, real signals."""

import http.cookiejar
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.servers import FAST, free_port
from tests.helpers.waiting import patience, until, within

pytestmark = pytest.mark.process

PASSWORD = "correct horse battery"
SLOW = "{{ config(materialized='table') }} select sum(a.range * b.range) as n from range(100000) a, range(30000) b"
SET_UP = f"""
from django.contrib.auth import get_user_model
from pathlib import Path
from flows.models import Environment, Project
from tests.helpers.engines import make_flow, write_project
Environment.objects.create(project=Project.objects.create(name="gone", path="/nowhere"), name="main")
get_user_model().objects.create_superuser("ada", password={PASSWORD!r})
make_flow(write_project(Path("FOLDER") / "quick", {{"a": "select 1 as id", "b": "select * from {{{{ ref('a') }}}}"}}))
make_flow(write_project(Path("FOLDER") / "slow", {{"a": "select 1 as id", "long": {SLOW!r}}}))
"""


class Dex:
    """An installation of its own, and the processes that were started on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.port = folder, folder / "home", free_port()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DEX_", "DATABASE_", "CELERY_"))}
        self.environment = {**kept, **FAST, "DEX_HOME": str(self.home), "DJANGO_SETTINGS_MODULE": "dexsite.settings"}
        self.started: list[subprocess.Popen] = []
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def manage(self, *arguments, **environment):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env={**self.environment, **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=patience(120),
            check=False,
        )

    def up(self, *arguments):
        """`manage.py up`, as soon as it answers."""
        log = (self.folder / "up.log").open("ab")
        command = [sys.executable, "manage.py", "up", "--port", str(self.port), *arguments]
        process = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=log, stderr=log)
        log.close()
        self.started.append(process)
        self.until(lambda: self.answers() or process.poll() is not None, 30, "an answer")
        assert process.poll() is None, self.log()
        return process

    def until(self, condition, seconds, what):
        return until(condition, seconds, lambda: f"{what}\n{self.log()}")

    def log(self):
        return (self.folder / "up.log").read_text(errors="replace")[-5000:]

    def get(self, path, data=None):
        """(status, headers, text), following redirects with the session's cookies."""
        body = urllib.parse.urlencode(data).encode() if data is not None else None
        try:
            with self.opener.open(f"http://127.0.0.1:{self.port}{path}", body, timeout=patience(10)) as answer:
                return answer.status, answer.headers, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode(errors="replace")

    def answers(self):
        with suppress(OSError):
            return self.get("/healthz")[0] == 200
        return False

    def post(self, path, **data):
        """Open a page for its token, and send a form to it."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path)[2]).group(1)
        return self.get(path, {**data, "csrfmiddlewaretoken": token})

    def log_in(self):
        text = self.post("/admin/login/?next=/admin/", username="ada", password=PASSWORD)[2]
        assert "Log out" in text

    def press_run_now(self, name):
        """Run a flow of the list; the number of the run."""
        text = self.get("/flows/")[2]
        row = re.search(rf'href="/flows/(\d+)/"[^>]*>flow of {name}<', text).group(1)
        text = self.post(f"/flows/{row}/run/", start="1")[2]
        return int(re.search(r'href="/runs/(\d+)/"', text).group(1))

    def state(self, run):
        text = self.get(f"/admin/runs/run/{run}/change/")[2]
        return re.search(r'field-state".*?<div class="readonly">(\w+)</div>', text, re.S).group(1).lower()

    def processes(self):
        """Every living process that was started with this DEX_HOME."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if str(self.home).encode() in (entry / "environ").read_bytes() and stat != "Z":
                    found.append(int(entry.name))
        return found

    def is_port_free(self):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", self.port))
                return True
        return False

    def nothing_is_left(self, seconds=10):
        self.until(lambda: not self.processes(), seconds, f"the end of {self.processes()}")
        assert self.is_port_free()

    def web(self):
        """The pid of the web server that `up` started."""
        (pid,) = [
            int(entry.name)
            for entry in Path("/proc").glob("[0-9]*")
            if int(entry.name) in self.processes()
            and b"gunicorn" in (entry / "cmdline").read_bytes()
            and (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(self.started[-1].pid)
        ]
        return pid

    def close(self):
        for process in self.started:
            process.kill()
            process.wait()
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A home with a user and two flows, made once: each test starts `up` on it anew."""
    dex = Dex(tmp_path_factory.mktemp("up"))
    assert dex.manage("migrate", "-v0").returncode == 0
    done = dex.manage("shell", "-v0", "-c", SET_UP.replace("FOLDER", str(dex.folder / "projects")))
    assert done.returncode == 0, done.stderr
    yield dex
    dex.close()


@pytest.fixture
def dex(prepared):
    yield prepared
    for process in prepared.started:
        process.kill()
        process.wait()
    prepared.nothing_is_left()


def test_up_serves_a_fresh_checkout_runs_what_the_web_starts_and_ends_with_ctrl_c(dex):
    up = dex.up()
    assert dex.get("/healthz")[2] == '{"status": "ok"}'
    status, headers, text = dex.get("/")
    assert status == 200 and 'id="login-form"' in text
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src 'self'" in policy
    assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', text):
        assert dex.get(path)[0] == 200, path
    assert "/static/dex.css" in text

    assert "flows.E001" in dex.log() and "environment gone/main has no dbt_project.yml" in dex.log()

    dex.log_in()
    run = dex.press_run_now("quick")
    dex.until(lambda: dex.state(run) == "succeeded", 25, "the end of the run")
    # the second time its session is warm, and the engine heard of it at once
    with within(5):
        run = dex.press_run_now("quick")
        dex.until(lambda: dex.state(run) == "succeeded", 8, "the end of the warm run")

    second = dex.manage("up", "--port", str(dex.port))
    assert second.returncode == 1
    assert "dex is already running on this DEX_HOME" in second.stderr and "Traceback" not in second.stderr
    assert dex.answers()

    os.kill(dex.web(), signal.SIGKILL)
    dex.until(lambda: "is started again" in dex.log(), 10, "a word about the web server")
    dex.until(dex.answers, 15, "the web server again")
    assert dex.state(run) == "succeeded"  # still logged in

    up.send_signal(signal.SIGINT)
    assert up.wait(patience(20)) == 0, dex.log()
    dex.nothing_is_left()
    assert "Traceback" not in dex.log()


def test_ctrl_c_while_a_model_runs_queues_it_again_and_the_next_up_finishes_it(dex):
    up = dex.up("--grace", "0.5")
    dex.log_in()
    run = dex.press_run_now("slow")
    dex.until(lambda: _running(dex, run), 30, "the slow model")
    up.send_signal(signal.SIGINT)
    assert up.wait(patience(25)) == 0, dex.log()
    dex.nothing_is_left()

    up = dex.up()
    assert dex.state(run) == "running"
    dex.until(lambda: _running(dex, run), 30, "the slow model again")
    up.kill()  # and now nobody says goodbye: neither web server nor dbt may stay behind
    up.wait()
    dex.nothing_is_left()

    up = dex.up()
    dex.until(lambda: dex.state(run) == "succeeded", 45, "the end of the run")
    up.send_signal(signal.SIGTERM)
    assert up.wait(patience(20)) == 0, dex.log()
    history = dex.manage("check_history")
    assert history.returncode == 0, history.stdout


def _running(dex, run):
    text = dex.get(f"/admin/runs/run/{run}/change/")[2]
    row = re.search(r">\s*(?:main\.)?long\s*<.*?</tr>", text, re.S)
    return row is not None and re.search(r">\s*running\s*<", row.group(0), re.I) is not None


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_port_in_use_is_reported_at_once_and_nothing_is_started(tmp_path, command):
    dex = Dex(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", dex.port))
        other.listen()
        done = dex.manage(command, "--port", str(dex.port))
    assert done.returncode == 1
    assert f"Port {dex.port} cannot be used" in done.stderr and "--port chooses another" in done.stderr
    assert "Traceback" not in done.stderr
    dex.nothing_is_left()
    assert "not a port" in dex.manage(command, "--port", "70000").stderr


def test_up_is_for_the_embedded_installation(tmp_path):
    done = Dex(tmp_path).manage("up", CELERY_BROKER_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 1
    assert "celery -A dexsite worker" in done.stderr


def test_the_demo_says_with_its_exit_code_whether_the_run_succeeded(tmp_path):
    dex = Dex(tmp_path)
    project = tmp_path / "shop"
    shutil.copytree(ROOT / "tests" / "sample_project", project)
    done = dex.manage("demo", "--once", "--project", str(project))
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout and "marts.mart_revenue" in done.stdout

    model = project / "models" / "marts" / "mart_orders.sql"
    model.write_text(model.read_text().replace("select", "select nonsense,", 1))
    done = dex.manage("demo", "--once", "--project", str(project))
    assert done.returncode == 1
    assert re.search(r"marts\.mart_orders +failed", done.stdout), done.stdout
    assert re.search(r"marts\.mart_customers +succeeded", done.stdout)
    assert "Traceback" not in done.stderr
    dex.nothing_is_left()
