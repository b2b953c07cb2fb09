"""Custom scripts in runs: parameters, variables, outputs, ends; real processes in this machine's sandbox."""

import json
import os
from pathlib import Path

import pytest

from flows.infra import process
from nodes.models import Link, Node, Virtualenv
from nodes.services import save_node
from runs.alerts.events import note_runs
from runs.clock import ago
from runs.engine.work_folders import folder_of
from runs.logs import store
from runs.models import Attempt, Channel, Run, TaskRun
from runs.services import cancel_run
from runs.states import RunState, TaskState
from tests.helpers.engines import finished, run_to_end, start
from tests.helpers.levels import needs_level
from tests.helpers.pages import Person
from tests.helpers.waiting import until, within
from tests.helpers.wheels import publish
from tests.runs.kinds.scripts import log_of, package, variable

pytestmark = pytest.mark.django_db(transaction=True)

GUIDE = """
import os
import sys

param1 = sys.argv[1]
param2 = sys.argv[2]
print(f"Parameter 1: {param1}")
print(f"Parameter 2: {param2}")
print("variables", os.getenv("MY_VAR"), os.getenv("ANOTHER_VAR"))
"""

package("guide", GUIDE)
package(
    "argv", "import json, os, sys\nprint('ARGV=' + json.dumps(sys.argv[1:]))\nprint('P=' + os.environ['DEX_PARAM_P3'])"
)
package("env", "import json, os\nprint('ENV=' + json.dumps(dict(os.environ)))\nprint('CWD=' + os.getcwd())")
package(
    "writer", "import json, os\nopen(os.environ['DEX_OUTPUT'], 'w').write(json.dumps({'rows': 12, 'place': 'a b'}))"
)
package("reader", "import sys\nprint(sys.argv[1:])")
package("seven", "import sys; sys.exit(7)")
package(
    "tidy",
    "import os, sys, time\nprint('pid', os.getpid(), flush=True)\n"
    "try:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('tidied', flush=True)\n    sys.exit(1)",
)
package(
    "deaf",
    "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n"
    "print('deaf', flush=True)\ntime.sleep(600)",
)
package(
    "silent",
    "import os, subprocess, sys, time\nos.close(1)\n"
    "subprocess.Popen(['sleep', '300'], start_new_session=True)\ntime.sleep(1)\nsys.exit(0)",
)
package(
    "duck",
    "import duckdb, os\nwith duckdb.connect(os.environ['DEX_WAREHOUSE_PATH']) as db:\n"
    "    db.execute('create or replace table extra as select id + 1 as id from main.a')\n    print('made')",
    requirements="duckdb\n",
)
package(
    "looker",
    """
import duckdb, json, os, sys
home, other = sys.argv[1:3]
found = {}
for name, path in {
    "keys": os.path.join(home, "keys", "variables"), "database": sys.argv[3], "another warehouse": other,
}.items():
    try:
        open(path, "rb").read(1)
        found[name] = "read"
    except OSError as error:
        found[name] = type(error).__name__
try:
    found["home"] = os.listdir(home)
except OSError as error:
    found["home"] = type(error).__name__
with duckdb.connect(os.environ["DEX_WAREHOUSE_PATH"]) as db:
    db.execute("create or replace table looked as select 1 as id")
print("FOUND=" + json.dumps(found))
""",
    requirements="duckdb\n",
)
package(
    "bare",
    """
import os, subprocess, sys, time
code = "import os, sys, time; print('PRINTED', len(os.environ), sys.argv[1]); "
waits = code + "exec('while not os.path.exists(sys.argv[2]): time.sleep(0.05)')"
subprocess.Popen([sys.executable, "-c", code + "time.sleep(600)", "killed"], env={}).terminate()
own = subprocess.Popen([sys.executable, "-c", waits, "own", os.environ["TMPDIR"] + "/past-0"])
bare = subprocess.Popen([sys.executable, "-c", waits, "hidden-value-9", os.environ["TMPDIR"] + "/past-0"], env={})
own.wait(); bare.wait()
""",
)
package("shopper", "import shopkit\nprint('shopkit', shopkit.VERSION)\n", requirements="shopkit\n")
package(
    "bar",
    """
import os, sys, time
print("begins", flush=True)
for n in range(20_001):
    sys.stderr.write(f"\\r{n / 200:5.1f} % |{'#' * 80}|")
    if n == 20_000 or n % 5_000 == 0:
        sys.stderr.flush()
        while not os.path.exists(f"{os.environ['TMPDIR']}/past-{n}"):
            time.sleep(0.05)
print("\\nends", flush=True)
""",
)
PARALLEL = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor

def square(n):
    return n * n

def add(lock, total):
    with lock:
        total.value += 1

def main():
    context = multiprocessing.get_context(sys.argv[1])
    lock, total = context.Lock(), context.Value("i", 0)
    children = [context.Process(target=add, args=(lock, total)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        squares = list(pool.map(square, range(5)))
    with context.Pool(2) as pool:
        squares += pool.map(square, range(5))
    with context.Manager() as manager:
        shared = manager.dict(a=1)
        print("MADE", total.value, squares, dict(shared), [child.exitcode for child in children])

if __name__ == "__main__":
    main()
"""
package("parallel", PARALLEL)
CHILD = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor

def breaks(*args):
    raise ValueError("this part is not done")

def waits(*args):
    time.sleep(600)

class Worker(multiprocessing.Process):
    def run(self):
        sys.exit(3)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    {0}
    print("the end")
"""
UNSEEN = {
    "child = context.Process(target=breaks, name='load'); child.start(); child.join()": "load with exit code 1",
    "context.Process(target=breaks, name='load').start()": "load with exit code 1",
    "Worker(name='w').start()": "w with exit code 3",
    "c = context.Process(target=waits, name='c'); c.start(); os.kill(c.pid, 9); c.join()": "c with signal 9",
}
SEEN = [
    "child = context.Process(target=breaks); child.start(); child.join(); print(child.exitcode)",
    "child = context.Process(target=waits); child.start(); child.terminate(); child.join()",
    "context.Process(target=waits, daemon=True).start()",
    "pool = ProcessPoolExecutor(1, mp_context=context); print(pool.submit(breaks).exception()); pool.shutdown()",
    "pool = ProcessPoolExecutor(1, mp_context=context); print(pool.submit(os._exit, 1).exception()); pool.shutdown()",
]
for number, act in enumerate([*UNSEEN, *SEEN]):
    package(f"child{number}", CHILD.replace("{0}", act))
ENDS = {
    "import sys; sys.exit(3)": "exit code 3",
    "raise ValueError('no such shop')": "exit code 1: ValueError: no such shop",
    "import os; os.kill(os.getpid(), 15)": "killed by signal 15",
    "import os; open(os.environ['DEX_OUTPUT'], 'w').write('[1]')": "DEX_OUTPUT must be a JSON object",
    "import os; open(os.environ['DEX_OUTPUT'], 'w').write('{')": "DEX_OUTPUT is not JSON",
    "import os; open(os.environ['DEX_OUTPUT'], 'w').write('{\"a\": \"' + 'x' * 70000 + '\"}')": "larger than 64 KiB",
    "import os; os.symlink('/etc/passwd', os.environ['DEX_OUTPUT'])": "DEX_OUTPUT cannot be read",
    "import os; os.mkfifo(os.environ['DEX_OUTPUT'])": "DEX_OUTPUT is not a file",
}
for number, code in enumerate(ENDS):
    package(f"end{number}", code)


def test_the_guides_script_prints_its_parameters_and_reads_its_variables(engine, script_flow):
    flow = script_flow("guide", arguments=[("first", "eins"), ("second", "zwei drei")])
    variable(flow, "MY_VAR", "mine")
    variable(flow, "ANOTHER_VAR", "hidden-value-9", secret=True)
    run = run_to_end(flow)
    said = log_of(run)
    assert run.state == RunState.SUCCEEDED, said
    assert "Parameter 1: eins\nParameter 2: zwei drei\nvariables mine [MASKED]" in said


NASTY = [
    "$(touch X)",
    ";",
    "`id`",
    "a\nb",
    "-c",
    "--help",
    "",
    " ",
    "'\"\\",
    "ü\u202e\U0001f600",
    "{{ 7*7 }}",
    "x" * 32_000,
]


def test_values_arrive_byte_for_byte_and_in_order(engine, script_flow, project):
    flow = script_flow("argv", arguments=[(f"p{n}", value) for n, value in enumerate(NASTY)])
    said = log_of(run_to_end(flow))
    line = next(line for line in said.splitlines() if line.startswith("ARGV="))
    assert json.loads(line.removeprefix("ARGV=")) == NASTY
    assert "P=a\nb" in said
    assert not list(project.rglob("X"))


def test_a_script_knows_its_run_and_nothing_of_dex(engine, script_flow, monkeypatch):
    monkeypatch.setenv("DEX_SECRET_KEY", "k" * 60)
    flow = script_flow("env", arguments=[("day", "x")])
    variable(flow, "MY_VAR", "mine")
    run = run_to_end(flow)
    said = log_of(run)
    env = json.loads(next(line for line in said.splitlines() if line.startswith("ENV=")).removeprefix("ENV="))
    task = run.task_runs.get(node_name="job")
    assert env["DEX_RUN_ID"] == str(run.pk) and env["DEX_TASK_ID"] == str(task.pk) and env["DEX_ATTEMPT"] == "1"
    assert env["DEX_FLOW"] == flow.name and env["DEX_PARAM_DAY"] == "x" and env["MY_VAR"] == "mine"
    assert env["DEX_WAREHOUSE_TYPE"] == "duckdb" and env["DEX_WAREHOUSE_PATH"].endswith(".duckdb")
    own = {name for name in env if name.startswith("DEX_")}
    assert not {name for name in own if not name.startswith(("DEX_PARAM_", "DEX_WAREHOUSE_"))} - {
        "DEX_RUN_ID",
        "DEX_TASK_ID",
        "DEX_ATTEMPT",
        "DEX_FLOW",
        "DEX_OUTPUT",
    }
    assert not {"DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PYTHONPATH"} & set(env)
    assert next(line for line in said.splitlines() if line.startswith("CWD=")).endswith("dex-custom-scripts/env")


@pytest.mark.parametrize(("number", "reason"), list(enumerate(ENDS.values())))
def test_an_end_that_is_no_success_says_why(engine, script_flow, number, reason):
    run = run_to_end(script_flow(f"end{number}"))
    task = run.task_runs.get(node_name="job")
    assert run.state == RunState.FAILED and reason in task.reason


def test_what_a_script_writes_is_a_parameter_of_the_next_which_waits_for_it(engine, script_flow):
    flow = script_flow("writer")
    arguments = [
        {"key": "rows", "value": "{{ nodes.job.output.rows }}"},
        {"key": "place", "value": "at {{ nodes.job.output.place }}, {{ params.day }}"},
    ]
    flow.parameters = [{"name": "day", "default": "monday"}]
    flow.save()
    save_node(Node(flow=flow, name="reader", kind="script", package="reader", arguments=arguments))
    assert not Link.objects.exists()
    run = run_to_end(flow)
    assert run.state == RunState.SUCCEEDED
    assert "['12', 'at a b, monday']" in log_of(run, "reader")
    assert run.task_runs.get(node_name="job").result["output"] == {"rows": 12, "place": "a b"}


def test_a_parameter_that_names_what_is_not_there_fails_with_the_name(engine, script_flow):
    flow = script_flow("reader")
    Node.objects.filter(flow=flow).update(arguments=[{"key": "x", "value": "{{ nodes.job2.output.rows }}"}])
    run = run_to_end(flow)
    assert run.state == RunState.FAILED
    assert "no other Custom Script named job2" in run.error


def test_a_secret_that_went_meanwhile_fails_what_needs_it(engine, script_flow):
    flow = script_flow("reader")
    row = variable(flow, "REGION", "eu")
    Node.objects.filter(flow=flow).update(arguments=[{"key": "x", "value": "{{ REGION }}"}])
    run = start(flow)
    row.delete()
    run = finished(run)
    assert run.state == RunState.FAILED
    said = run.error + "".join(run.task_runs.values_list("reason", flat=True))
    assert "There is no variable REGION" in said


def test_a_cancelled_script_may_tidy_up_and_leaves_no_process(engine, script_flow):
    flow = script_flow("tidy")
    run = start(flow)
    until(lambda: Attempt.objects.filter(task_run__run=run, pid__isnull=False).exists(), 30)
    until(lambda: "pid" in log_of(run), 20)
    attempt = Attempt.objects.get(task_run__run=run)
    cancel_run(run.pk, actor="ada")
    run = finished(run)
    assert run.state == RunState.CANCELLED and run.cancel_requested_by == "ada"
    assert "tidied" in log_of(run)
    assert process.start_time(attempt.pid) != attempt.pid_start


def test_a_hung_script_that_ignores_signals_ends_at_its_timeout(engine, script_flow, settings):
    settings.KILL_GRACE_S = 0.5
    flow = script_flow("deaf", timeout=3)
    with within(15):
        run = run_to_end(flow)
    task = run.task_runs.get(node_name="job")
    assert task.state == TaskState.FAILED and task.reason.startswith("timeout after 3 s")


def test_the_exit_decides_not_the_end_of_the_output(engine, script_flow):
    with within(15):
        run = run_to_end(script_flow("silent"))
    assert run.state == RunState.SUCCEEDED


def test_a_script_is_tried_again_as_its_node_says(engine, script_flow):
    flow = script_flow("seven", retries=1, retry_delay=0)
    run = run_to_end(flow)
    tries = Attempt.objects.filter(task_run__run=run)
    assert [attempt.exit_code for attempt in tries] == [7, 7]


def test_models_and_scripts_of_one_flow_share_a_duckdb_file(engine, script_flow):
    flow = script_flow("duck")
    models = save_node(Node(flow=flow, name="models", include=["a"]))
    Link.objects.create(flow=flow, up=models, down=flow.nodes.get(name="job"))
    run = run_to_end(flow)
    assert run.state == RunState.SUCCEEDED, log_of(run)
    assert "made" in log_of(run)
    assert run_to_end(flow).state == RunState.SUCCEEDED  # the warm session lets the file go, and takes it again


@needs_level(2)
def test_a_script_writes_its_own_warehouse_and_reads_no_other_nor_dexs_keys_and_database(engine, script_flow, settings):
    home = Path(settings.DEX_HOME)
    other = home / "warehouses" / "environment-0" / "other.duckdb"
    other.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    other.touch(mode=0o600)
    database = str(settings.DATABASES["default"]["NAME"])
    values = [str(home), str(other), database if "/" in database else str(home / "keys")]
    flow = script_flow("looker", arguments=[(f"p{n}", value) for n, value in enumerate(values)])
    variable(flow, "TOKEN", "a-value-to-keep", secret=True)  # so that there are keys
    models = save_node(Node(flow=flow, name="models", include=["a"]))
    Link.objects.create(flow=flow, up=models, down=flow.nodes.get(name="job"))
    run = run_to_end(flow)
    assert run.state == RunState.SUCCEEDED, log_of(run)
    line = next(line for line in log_of(run).splitlines() if line.startswith("FOUND="))
    found = json.loads(line.removeprefix("FOUND="))
    hidden = {"PermissionError", "FileNotFoundError"}
    assert found["keys"] in hidden and found["database"] in hidden and found["another warehouse"] in hidden
    assert found["home"] == "PermissionError" or not {"keys", "logs"} & set(found["home"])
    warehouse = home / "warehouses" / f"environment-{flow.environment_id}"
    assert not [path for path in (warehouse, *warehouse.iterdir()) if path.stat().st_mode & 0o077]  # lent no longer
    assert {path.stat().st_uid for path in warehouse.iterdir()} == {os.getuid()}
    assert not list((home / "work").iterdir())


def test_the_process_of_a_script_that_lost_its_worker_is_ended_before_it_runs_again(engine, script_flow):
    flow = script_flow("tidy", timeout=600)
    run = start(flow)
    until(lambda: Attempt.objects.filter(task_run__run=run, pid__isnull=False).exists(), 30)
    first = Attempt.objects.get(task_run__run=run)
    TaskRun.objects.filter(run=run, node_name="job").update(owner="somebody else", lease_until=ago(1))
    until(lambda: process.start_time(first.pid) != first.pid_start, 20, "the end of the lost process")
    cancel_run(run.pk, actor="test")
    assert finished(run).state == RunState.CANCELLED


def test_a_package_is_tried_outside_of_its_flow_with_parameters_that_nobody_saved(engine, script_flow):
    flow = script_flow("argv", arguments=[("a", "saved")])
    ada = Person("ada", "everything")
    typed = {
        "name": "job",
        "package": "reader",
        "network": "on",  # keeping a script from it needs level 3
        "arguments_key": ["x", "y", "z"],
        "arguments_value": ["typed", "2", "3"],
    }
    ada.client.enforce_csrf_checks = False
    ada.client.handler.enforce_csrf_checks = False
    answer = ada.client.post(f"/flows/{flow.pk}/script-test/", typed, headers={"HX-Request": "true"})
    run = Run.objects.get(trigger="test")
    assert answer.status_code == 200 and f"/runs/{run.pk}/script-test/" in answer.content.decode()
    run = finished(run)
    said = ada.client.get(f"/runs/{run.pk}/script-test/").content.decode()
    assert run.state == RunState.SUCCEEDED and "typed" in said and "hx-trigger" not in said
    assert not flow.runs.exists() and flow.nodes.get().arguments == [{"key": "a", "value": "saved"}]
    assert ada.open(f"/runs/{run.pk}/").status == 200
    Channel.objects.create(name="team", kind="email", target="ada@example.org", events=["success", "failure"])
    assert note_runs([run.pk]) == 0  # who tries it watches it
    answer = ada.client.post(
        f"/flows/{flow.pk}/script-test/", {**typed, "package": "gone"}, headers={"HX-Request": "true"}
    )
    assert "no script package gone" in answer.content.decode() and Run.objects.count() == 1


def let_past(run, n: int) -> None:
    """Let the script `bar` of a run draw on."""
    task = run.task_runs.get(node_name="job")
    (folder_of(task.pk, task.fence) / "tmp" / f"past-{n}").touch()


def test_a_progress_bar_is_live_while_it_moves_and_kept_in_its_last_state(engine, script_flow):
    run = start(script_flow("bar"))
    tries = Attempt.objects.filter(task_run__run=run, task_run__node_name="job")
    until(lambda: tries.exclude(log_path="").exists(), 60)
    path = tries.get().log_path
    for n, state in ((0, "0.0 %"), (5_000, "25.0 %"), (10_000, "50.0 %"), (15_000, "75.0 %"), (20_000, "100.0 %")):
        line = f"{state.rjust(7)} |{'#' * 80}|"
        until(lambda line=line: store.read(path).text.endswith(f"begins\n{line}"), 60)
        assert store.read(path).size < 1000
        let_past(run, n)
    finished(run)
    assert log_of(run).endswith(f"begins\n100.0 % |{'#' * 80}|\nends\n")
    assert tries.get().log_dropped == 0


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_script_works_in_parallel_as_python_would_run_it(engine, script_flow, method):
    run = run_to_end(script_flow("parallel", arguments=[("method", method)]))
    assert "MADE 3 [0, 1, 4, 9, 16, 0, 1, 4, 9, 16] {'a': 1} [0, 0, 0]" in log_of(run), log_of(run)
    assert run.state == RunState.SUCCEEDED


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize(("number", "told"), list(enumerate(UNSEEN.values())))
def test_a_child_that_failed_unseen_is_no_success(engine, script_flow, number, told, method):
    run = run_to_end(script_flow(f"child{number}", arguments=[("method", method)]))
    assert run.state == RunState.FAILED and "the end" in log_of(run), log_of(run)
    assert told in run.task_runs.get(node_name="job").reason


@pytest.mark.parametrize("number", range(len(UNSEEN), len(UNSEEN) + len(SEEN)))
def test_a_child_whose_failure_the_script_knows_of_is_its_own_affair(engine, script_flow, number):
    run = run_to_end(script_flow(f"child{number}", arguments=[("method", "spawn")]))
    assert run.state == RunState.SUCCEEDED, log_of(run)
    assert "the end" in log_of(run)


def test_output_of_a_child_with_its_own_environment_arrives_masked_when_it_ends(engine, script_flow):
    """As docs/scripts.md says: without PYTHONUNBUFFERED Python keeps what it prints until it ends."""
    flow = script_flow("bare")
    variable(flow, "ANOTHER_VAR", "hidden-value-9", secret=True)
    run = start(flow)
    until(lambda: Attempt.objects.filter(task_run__run=run).exclude(log_path="").exists(), 60)
    path = Attempt.objects.get(task_run__run=run, task_run__node_name="job").log_path
    until(lambda: " own" in store.read(path).text, 60)
    assert "MASKED" not in store.read(path).text
    let_past(run, 0)
    finished(run)
    said = log_of(run)
    assert "[MASKED]" in said and "hidden-value-9" not in said and "killed" not in said


@pytest.fixture
def shelf(settings, tmp_path):
    """The folder that packages of scripts come from, with release 1.0 of shopkit; nothing else is asked."""
    settings.SCRIPT_FIND_LINKS, settings.SCRIPT_OFFLINE = str(tmp_path / "shelf"), True
    publish(tmp_path / "shelf", "shopkit", "1.0")
    return tmp_path / "shelf"


def asks_for_renewal(person, page, flow) -> int:
    """Press Renew as the browser does; the status of the answer."""
    typed = {"renew": "shopper", "csrfmiddlewaretoken": page.form("node-form").fields["csrfmiddlewaretoken"]}
    return person.client.post(f"/flows/{flow.pk}/virtualenv/", typed, headers={"HX-Request": "true"}).status_code


def test_an_environment_is_renewed_by_a_worker_when_somebody_asks_and_its_lock_is_shown(engine, script_flow, shelf):
    flow = script_flow("shopper")
    assert "shopkit 1.0" in log_of(run_to_end(flow))
    publish(shelf, "shopkit", "1.1")
    assert "shopkit 1.0" in log_of(run_to_end(flow))
    node = flow.nodes.get()
    ann = Person("ann", "everything")
    page = ann.open(f"/flows/{flow.pk}/nodes/{node.pk}/")
    assert "shopkit==1.0" in page.html and "1 version that they do not pin is updated after 30 days" in page.html
    assert asks_for_renewal(ann, page, flow) == 200
    until(lambda: Virtualenv.objects.filter(lock=["shopkit==1.1"]).exists(), 60)
    part = ann.client.get(f"/flows/{flow.pk}/virtualenv/?package=shopper").content.decode()
    assert "shopkit==1.1" in part and "hx-get" not in part
    assert "shopkit 1.1" in log_of(run_to_end(flow))


def test_an_environment_that_is_old_is_renewed_by_the_run_that_uses_it(engine, script_flow, shelf, settings):
    flow = script_flow("shopper")
    assert "shopkit 1.0" in log_of(run_to_end(flow))
    publish(shelf, "shopkit", "1.1")
    settings.SCRIPT_RENEW_DAYS = 1e-6
    assert "shopkit 1.1" in log_of(run_to_end(flow))
    assert Virtualenv.objects.get().lock == ["shopkit==1.1"]


def test_a_failed_renewal_is_shown_on_the_page_and_the_script_still_runs(engine, script_flow, shelf):
    flow = script_flow("shopper")
    run_to_end(flow)
    (shelf / "shopkit-1.0-py3-none-any.whl").unlink()
    ann = Person("ann", "everything")
    page = ann.open(f"/flows/{flow.pk}/nodes/{flow.nodes.get().pk}/")
    assert asks_for_renewal(ann, page, flow) == 200
    until(lambda: Virtualenv.objects.exclude(problem="").exists(), 60)
    page = ann.open(f"/flows/{flow.pk}/nodes/{flow.nodes.get().pk}/")
    assert "It could not be renewed" in page.html and "shopkit was not found" in page.html
    assert "shopkit==1.0" in page.html
    run = run_to_end(flow)
    assert run.state == RunState.SUCCEEDED and "shopkit 1.0" in log_of(run)
