"""Failures that differ in numbers and names of the day alone are one failure."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from runs.alerts.failure_groups.models import Failure, FailureGroup
from runs.alerts.failure_groups.normalise import LONGEST, first_error_line, normalise
from runs.alerts.failure_groups.record import failure_group_of, record_failures
from runs.alerts.watching import look_again
from runs.models import Run, TaskRun
from tests.helpers.graphs import drain, open_graph
from tests.helpers.pages import Person

SAME = [
    ("row 17 of 4000 is bad", "row 9 of 12 is bad"),
    ("got 17 results, expected 0", "got 3,000 results, expected 0"),
    ("took 3.5 s, limit 60 seconds", "took 12s, limit 5 minutes"),
    ("no row 8b2f0a52-51a7-4a57-9b94-dc4b4a0a3f4e", "no row 11111111-2222-3333-4444-555555555555"),
    ("at 2026-01-31 04:05:06.789 UTC", "at 2027-12-01T14:05:06Z"),
    ("partition 2026-01-31 is missing", "partition 2025-07-01 is missing"),
    ("connection to 10.0.0.7:5432 refused", "connection to 192.168.1.20:6543 refused"),
    ("connection to [fe80::1]:5432 refused", "connection to [2001:db8::7]:5433 refused"),
    (
        'could not connect to server "db" on db.example.org:5432',
        'could not connect to server "db" on db.example.org:5433',
    ),
    ("cannot read /tmp/dbt-8f3a/x.csv: gone", "cannot read /tmp/other/deep/er/x.csv: gone"),
    ("cannot read /srv/dex/runs/17/target/x.json", "cannot read /srv/dex/runs/18/target/x.json"),
    ("<Table object at 0x7f8a1c2b3d40>", "<Table object at 0x7ffd00112233>"),
    ("commit 3f2c91ab not found", "commit 9e8d7c6b5a40 not found"),
    ("table 'staging_20260131' does not exist", "table 'staging_20260201' does not exist"),
    ("at 04:05 UTC", "at 14:55:10 UTC"),
    ("invalid value '17'", "invalid value '99'"),
    ("index -3.5e-7 out of range", "index 12 out of range"),
    ("process 4711 was killed by signal 9", "process 12 was killed by signal 15"),
    ("two   blanks", "two blanks"),
]
DIFFERENT = [
    ("table orders does not exist", "table customers does not exist"),
    ("column a1 not found", "column b1 not found"),
    ("cannot read models/a.sql", "cannot read models/b.sql"),
    ("utf8 is expected", "md5 is expected"),
    ("Binder Error: x", "Parser Error: x"),
    ("cafe is closed", "face is closed"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_text_that_changes_with_every_run_does_not_make_another_failure_group(one, other):
    assert normalise(one) == normalise(other) != one or one.replace("   ", " ") == other


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_names_tell_failures_apart(one, other):
    assert normalise(one) != normalise(other)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("", ""),
        ("\n\n  first  \nsecond", "first"),
        ("Database Error in model a (models/a.sql)\n  Binder Error: no b\n", "Database Error: Binder Error: no b"),
        (
            "Runtime Error in model a (models/a.sql) Binder Error: no b Candidates: c",
            "Runtime Error: Binder Error: no b Candidates: c",
        ),
        ("Compilation Error in model a (models/a.sql)", "Compilation Error in model a (models/a.sql)"),
        ("\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_the_line_that_tells_what_it_is(said, line):
    assert first_error_line(said) == line


def test_long_lines_and_odd_ones_are_done_in_no_time():
    for odd in ("1:" * 50_000, "/a" * 50_000, "a:" * 50_000, "[" * 100_000, "0x" + "f" * 100_000, "1.1" * 40_000):
        assert len(normalise(odd)) <= LONGEST


def failing(line: str) -> Run:
    run = drain(open_graph({"a": (), "b": ("a",)}, {"a": {"end": "fail"}}))
    TaskRun.objects.filter(run=run, identifier="a").update(reason=line)
    return run


@pytest.mark.django_db
def test_a_failure_is_counted_once_however_often_one_looks():
    runs = [failing(f"row {number} is bad") for number in range(3)]
    for _ in range(3):
        record_failures([run.pk for run in runs])
        look_again()
    known = FailureGroup.objects.get()
    assert known.count == 3 == Failure.objects.count() and known.text == "row <n> is bad"
    assert known.example == "row 2 is bad" and known.last_task_run.run == runs[-1]
    row = runs[0].task_runs.get(identifier="a")
    assert failure_group_of(row) == known and known.note == ""
    assert failure_group_of(runs[0].task_runs.get(identifier="b")) is None


@pytest.mark.django_db
def test_the_same_error_in_two_models_is_one_failure_and_so_are_tests_that_fail_in_another_order():
    first, second = failing(""), failing("")
    for run, name in ((first, "orders"), (second, "customers")):
        said = (
            f"Runtime Error in model {name} (models/{name}.sql)\n  Binder Error: no column amout\n  Candidates: amount"
        )
        result = {"status": "error", "message": said}
        run.task_runs.filter(identifier="a").update(reason=" ".join(said.split()), result=result)
    third, fourth = failing(""), failing("")
    for run, names in ((third, ["unique_id", "not_null_id"]), (fourth, ["not_null_id", "unique_id"])):
        tests = [{"name": name, "status": "fail", "message": "Got 1 result"} for name in names]
        reason = f"2 of 3 tests failed: {', '.join(names)}"
        run.task_runs.filter(identifier="a").update(reason=reason, result={"status": "fail", "tests": tests})
    record_failures([first.pk, second.pk, third.pk, fourth.pk])
    assert list(FailureGroup.objects.order_by("pk").values_list("text", "count")) == [
        ("Runtime Error: Binder Error: no column amout", 2),
        ("<n> of <n> tests failed: not_null_id, unique_id", 2),
    ]
    assert ann_sees(first).count("Binder Error: no column amout") == 1


def ann_sees(run: Run) -> str:
    """The error in the panel of what failed."""
    html = Person(f"ann {run.pk}", "runs.view_run").open(f"/runs/{run.pk}/").html
    begin = html.index("What went wrong")
    return html[begin : html.index("</pre>", begin)]


@pytest.mark.django_db(transaction=True)
def test_many_who_look_at_once_count_it_once():
    runs = [failing("row 1 is bad") for _ in range(4)]
    pks = [run.pk for run in runs]

    def look(number):
        try:
            return record_failures(pks if number % 2 else reversed(pks))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(look, range(8)))
    assert sum(found) == 4 == FailureGroup.objects.get().count == Failure.objects.count()


@pytest.mark.django_db
def test_a_secret_of_the_environment_is_in_no_fingerprint(settings):
    settings.SECRET_ENVIRONMENT = {"DBT_ENV_SECRET_KEY": "hunter2-hunter2"}
    record_failures([failing("login with hunter2-hunter2 was refused").pk])
    known = FailureGroup.objects.get()
    assert "hunter2" not in known.text + known.example and "[MASKED]" in known.example


@pytest.mark.django_db
def test_people_find_a_failure_with_its_note_where_it_happens_again():
    run = failing("row 17 is bad")
    record_failures([run.pk, failing("row 18 is bad").pk])
    ada = Person("ada", "runs.view_run", "runs.add_run", "flows.view_flow")
    page = ada.open("/failures/")
    assert "row &lt;n&gt; is bad" in page.html and run.flow_name in page.html
    known = FailureGroup.objects.get()
    page = ada.open(f"/failures/{known.pk}/")
    assert f"/runs/{run.pk}/?task=" in page.html and page.inline == []
    saved = ada.post(page, page.form("note"), {"note": "Ask the shop: https://wiki.example.org/shop", "mute": "1"})
    known.refresh_from_db()
    assert saved.status == 200 and known.note.startswith("Ask the shop")
    assert timedelta(hours=0.9) < known.muted_until - timezone.now() < timedelta(hours=1.1)
    task = run.task_runs.get(identifier="a")
    panel = ada.open(f"/runs/{run.pk}/?task={task.pk}").html
    assert "Seen 2 times" in panel and "https://wiki.example.org/shop" in page_links(ada, run, task)
    assert f"/failures/{known.pk}/" in panel
    page = ada.open(f"/failures/{known.pk}/")
    ada.post(page, page.form("note"), {"mute": "0"})
    known.refresh_from_db()
    assert known.muted_until is None and known.note.startswith("Ask the shop")


def page_links(person: Person, run: Run, task: TaskRun) -> list[str]:
    """Where the page of a run leads with the panel of a task."""
    return person.open(f"/runs/{run.pk}/?task={task.pk}").links


@pytest.mark.django_db
def test_viewers_see_no_form_and_change_no_note():
    run = failing("row 17 is bad")
    record_failures([run.pk])
    known = FailureGroup.objects.get()
    vera = Person("vera", "runs.view_run")
    page = vera.open(f"/failures/{known.pk}/")
    assert page.status == 200 and not [form for form in page.forms if form.id == "note"]
