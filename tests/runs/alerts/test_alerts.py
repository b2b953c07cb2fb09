"""Who wants to know what became of runs is told, once, without secrets, and nobody else is posted to."""

import hashlib
import hmac
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection, connections
from django.utils import timezone

from dexsite.configuration import mail_server
from flows.infra.times import instant
from flows.models import Flow, Tick
from runs.alerts import events, sending, services, watching
from runs.alerts.events import note_late, note_runs, note_slow
from runs.alerts.failure_groups.models import FailureGroup
from runs.alerts.kinds import EventKind
from runs.alerts.models import Channel, Delivery, Event
from runs.alerts.sending import BACK_OFF_S, ring_due, send
from runs.alerts.signing import secret_of
from runs.alerts.targets import address_of, keep_address
from runs.alerts.watching import announce, look_again
from runs.models import Run, TaskRun, Trigger
from runs.services import start_run
from runs.states import RunState
from runs.transitions import move_run
from tests.helpers.engines import make_flow, run_to_end, write_project
from tests.helpers.graphs import drain, open_graph
from tests.helpers.pages import Person
from tests.helpers.receivers import Mail, Web, serving
from tests.helpers.waiting import until

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(settings):
    settings.NOTIFY_ALLOW = ["127.0.0.1"]
    with serving(Web()) as receiver:
        yield receiver


@pytest.fixture
def mail(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with serving(Mail()) as receiver:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", receiver.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        yield receiver


def channel(target="https://example.org/hook", kind="webhook", told=("failure",), **fields):
    fields.setdefault("name", f"channel {Channel.objects.count()}")
    fields.setdefault("since", timezone.now() - timedelta(days=1))
    made = Channel.objects.create(kind=kind, events=list(told), **fields)
    keep_address(made, target)
    made.save()
    return made


THREE = {
    "a": {"end": "fail", "print": "no table a"},
    "b": {"end": "fail", "print": "no table b"},
    "c": {"end": "fail", "print": "no table c"},
}


def failed_run(**changes) -> Run:
    run = drain(open_graph({"a": (), "b": (), "c": (), "d": ("a", "b")}, THREE))
    for name in "abc":
        TaskRun.objects.filter(run=run, identifier=name).update(reason=f"no table {name}")
    for field, value in changes.items():
        setattr(run, field, value)
    run.save()
    return run


def good_run() -> Run:
    return drain(open_graph({"a": ()}))


def of_flow(flow, *runs):
    for run in runs:
        Run.objects.filter(pk=run.pk).update(flow=flow, flow_name=flow.name)


def make_due(**where):
    Delivery.objects.filter(**where).update(next_at=timezone.now() - timedelta(seconds=1))


def body_of(receiver, number=0):
    return json.loads(receiver.got[number][1])


def test_a_run_with_three_failures_is_one_message_that_names_what_broke(web, settings):
    settings.SITE_URL = "https://dex.example.org"
    channel(web.url)
    run = failed_run()
    Flow.objects.filter(pk=run.flow_id).update(tags=["owner: data team", "daily"])
    announce(run.pk)
    known = FailureGroup.objects.get(text="no table a")
    assert send(Delivery.objects.get().pk) is True
    assert len(web.got) == 1
    told = body_of(web)
    first = run.task_runs.filter(state="failed").order_by("ended_at", "pk").first().identifier
    assert told["flow"] == run.flow_name and told["run"] == run.pk and told["event"] == "failure"
    assert (told["failed"], told["skipped"], told["tasks"]) == (3, 1, 4)
    assert told["failed_task"] == first and told["error"] == f"no table {first}"
    assert sorted(told["failed_tasks"]) == ["a", "b", "c"] and told["owner"] == "data team"
    assert told["url"] == f"https://dex.example.org/runs/{run.pk}/" and told["duration_s"] is not None
    assert told["subject"].endswith(f"failed: {first} and 2 more")
    assert known.count == 1 and known.text == "no table a"


def test_the_message_says_what_people_wrote_about_the_failure(mail):
    channel("ada@example.org, bob@example.org", kind="email")
    announce(failed_run().pk)
    FailureGroup.objects.update(note="Call the shop.")
    announce(run := failed_run().pk)
    send(Delivery.objects.get(run=run).pk)
    ((recipients, message),) = mail.got
    text = message.get_payload(decode=True).decode()
    assert recipients == ["ada@example.org", "bob@example.org"]
    assert "Call the shop." in text and "occurred 2 times" in text and f"/runs/{run}/" in text
    assert "3 failed, 1 skipped of 4 tasks" in text and "failed: a and 2 more" in message["Subject"]


def test_slack_gets_a_text_in_which_nothing_is_a_mark_of_slack(web):
    channel(web.url, kind="slack")
    run = failed_run()
    TaskRun.objects.filter(run=run, identifier="a").update(reason="<!channel> & <https://example.org|here>")
    announce(run.pk)
    send(Delivery.objects.get().pk)
    text = body_of(web)["text"]
    assert "&lt;!channel&gt; &amp; &lt;https" in text and "<" not in text
    assert "X-Dex-Signature" not in web.got[0][0]


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (b"ok", True),
        (b"", True),
        (b'{"ok": true}', True),
        (b'{"success":true}', True),
        (b"1", True),
        (b'{"text": "' + b"x" * 900 + b'"}', True),
        (b"no_service", False),
        (b'{"ok": false, "error": "channel_not_found"}', False),
        (b'{"success": false}', False),
        (b'{"error": "no such room"}', False),
        (b"<html>Log in</html>", False),
    ],
)
def test_a_receiver_of_slacks_kind_that_says_no_with_200_has_not_taken_the_message(web, said, taken):
    channel(web.url, kind="slack")
    announce(failed_run().pk)
    web.said = said
    row = Delivery.objects.get()
    assert send(row.pk) is taken
    row.refresh_from_db()
    assert (row.status == Delivery.Status.SENT) is taken
    assert taken or f"answered 200, but said: {said.decode()}" in row.last_error


@pytest.mark.django_db(transaction=True)
def test_one_message_however_many_look_and_send_at_once(web):
    channel(web.url)
    runs = [failed_run().pk for _ in range(3)]

    def work(number):
        try:
            for run in runs if number % 2 else reversed(runs):
                announce(run)
            look_again()
            for pk in Delivery.objects.values_list("pk", flat=True):
                send(pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert sorted(json.loads(body)["run"] for _, body in web.got) == sorted(runs)
    assert set(Delivery.objects.values_list("status", "attempts")) == {("sent", 1)}


@pytest.mark.django_db(transaction=True)
def test_the_engine_sends_openlineage_events_of_a_run_by_itself(engine, web, tmp_path, settings):
    channel(web.url, told=["start", "failure"])
    models = {"good": "select 1 as id", "bad": "select * from nowhere", "below": "select * from {{ ref('bad') }}"}
    run = run_to_end(make_flow(write_project(tmp_path / "shop", models)))
    until(lambda: len(web.got) == 2, 20, "two messages")
    told = {json.loads(body)["event"]: json.loads(body) for _, body in web.got}
    assert told["failure"]["run"] == run.pk and told["failure"]["skipped"] == 1
    assert "nowhere" in told["failure"]["error"] and told["start"]["state"] in ("running", "failed")
    engine.stop(grace=0)
    watching.watch()
    assert len(web.got) == 2


def test_the_next_sweep_finishes_what_a_dead_process_left_undone():
    channel(told=["failure", "success", "start"])
    runs = [failed_run(), good_run()]
    assert Event.objects.count() == 0
    for _ in range(3):
        look_again()
    assert sorted(Delivery.objects.values_list("run", "event")) == sorted(
        [(runs[0].pk, "failure"), (runs[0].pk, "start"), (runs[1].pk, "start"), (runs[1].pk, "success")]
    )


def test_the_event_and_its_messages_are_written_together_or_not_at_all(monkeypatch):
    channel()
    run = failed_run()

    def die(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(events.dispatch, "message", die)
    with pytest.raises(KeyboardInterrupt):
        announce(run.pk)
    assert Event.objects.filter(key=f"end {run.pk}").count() == Delivery.objects.count() == 0
    monkeypatch.undo()
    announce(run.pk)
    assert Delivery.objects.count() == 1


def test_a_receiver_that_is_down_gets_it_later_and_once(settings):
    settings.NOTIFY_ALLOW = ["127.0.0.0/8"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    channel(f"http://127.0.0.1:{port}/hook")
    announce(failed_run().pk)
    row = Delivery.objects.get()
    assert send(row.pk) is False and send(row.pk) is None and ring_due() == 0
    row.refresh_from_db()
    assert row.status == "waiting" and "refused" in row.last_error and row.attempts == 1
    assert 28 <= (row.next_at - timezone.now()).total_seconds() <= 30
    with serving(Web(port)) as web:
        make_due()
        assert ring_due() == 1 and send(row.pk) is True
        make_due()
        assert send(row.pk) is None and len(web.got) == 1
    row.refresh_from_db()
    assert row.status == "sent" and row.sent_at and row.last_error == "" and row.attempts == 2


def test_it_is_tried_with_growing_pauses_and_then_given_up(web):
    web.answers = [503]
    channel(web.url)
    announce(failed_run().pk)
    row = Delivery.objects.get()
    pauses = []
    while row.status == "waiting":
        make_due()
        send(row.pk)
        row.refresh_from_db()
        if row.next_at:
            pauses.append(round((row.next_at - timezone.now()).total_seconds()))
    assert pauses == [30, 120, 600, 3600, 21600] == list(BACK_OFF_S)
    assert row.status == "failed" and row.last_error.startswith("answered 503") and len(web.got) == 6
    web.answers = [200]
    assert services.send_again(row) and not services.send_again(row)
    assert send(row.pk) is True and len(web.got) == 7


def test_a_claim_that_was_lost_cannot_say_how_it_ended(web, monkeypatch):
    channel(web.url)
    announce(failed_run().pk)
    row = Delivery.objects.get()

    def another_was_faster(*_):
        Delivery.objects.filter(pk=row.pk).update(attempts=2, status="sent")
        raise OSError("gone")

    monkeypatch.setitem(sending.SENDERS, Channel.Kind.WEBHOOK, another_was_faster)
    send(row.pk)
    row.refresh_from_db()
    assert row.status == "sent"


def test_the_receiver_can_tell_our_message_from_a_forged_one(web):
    row = channel(web.url)
    announce(failed_run().pk)
    send(Delivery.objects.get().pk)
    headers, body = web.got[0]
    parts = dict(part.split("=", 1) for part in headers["X-Dex-Signature"].split(","))
    signed = hmac.new(secret_of(row.salt).encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signed, parts["v1"]) and abs(int(parts["t"]) - timezone.now().timestamp()) < 60
    assert headers["X-Dex-Event"] == "failure" and headers["X-Dex-Delivery"] == str(Delivery.objects.get().pk)
    assert services.renew_secret(row) != secret_of(row.salt[::-1]) and row.salt not in secret_of(row.salt)


def test_the_name_is_looked_up_once_and_the_checked_address_is_used(web, monkeypatch):
    asked = []
    real = socket.getaddrinfo

    def rebinding(host, *rest, **more):
        if host == "moves.example.org":
            asked.append(host)
            return real("127.0.0.1" if len(asked) == 1 else "127.0.0.9", *rest, **more)
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    channel(f"http://moves.example.org:{web.port}/hook?key=1")
    announce(failed_run().pk)
    assert send(Delivery.objects.get().pk) is True
    assert asked == ["moves.example.org"] and web.got[0][0]["Host"] == f"moves.example.org:{web.port}"


def test_a_redirect_is_not_followed(web):
    with serving(Web()) as elsewhere:
        web.answers, web.headers = [307], {"Location": elsewhere.url}
        channel(web.url)
        announce(failed_run().pk)
        assert send(Delivery.objects.get().pk) is False
        assert elsewhere.got == [] and "redirect" in Delivery.objects.get().last_error


def test_a_receiver_that_does_not_answer_is_given_up_after_a_while(settings, monkeypatch):
    settings.NOTIFY_ALLOW = ["127.0.0.1"]
    monkeypatch.setattr(sending, "EXCHANGE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        channel(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        announce(failed_run().pk)
        assert send(Delivery.objects.get().pk) is False
    assert "no answer within" in Delivery.objects.get().last_error


def test_no_message_holds_a_secret_of_the_environment(web, mail, settings):
    settings.SECRET_ENVIRONMENT = {"DBT_ENV_SECRET_KEY": "hunter2-hunter2"}
    channel(web.url)
    channel("ada@example.org", kind="email")
    run = failed_run()
    said = "login as hunter2-hunter2 was refused"
    TaskRun.objects.filter(run=run, identifier="a").update(reason=said, identifier="model_hunter2-hunter2")
    announce(run.pk)
    FailureGroup.objects.update(note="the password is hunter2-hunter2")
    again = failed_run()
    TaskRun.objects.filter(run=again, identifier="a").update(reason=said)
    announce(again.pk)
    for pk in Delivery.objects.values_list("pk", flat=True):
        assert send(pk)
    everything = "".join([body.decode() + str(headers) for headers, body in web.got] + [str(m) for _, m in mail.got])
    assert len(web.got) == len(mail.got) == 2 and "hunter2" not in everything and "[MASKED]" in everything
    assert "hunter2" not in json.dumps(list(Delivery.objects.values("subject", "body")))


def test_a_muted_failure_sends_nothing_and_is_recorded_as_muted(web):
    channel(web.url)
    announce(failed_run().pk)
    FailureGroup.objects.update(muted_until=timezone.now() + timedelta(hours=1))
    Delivery.objects.all().delete()
    announce((muted := failed_run()).pk)
    row = Delivery.objects.get(run=muted)
    make_due()
    assert row.status == "muted" and send(row.pk) is None and web.got == []
    other = failed_run()
    TaskRun.objects.filter(run=other, identifier="b").update(reason="something else")
    announce(other.pk)
    assert Delivery.objects.get(run=other).status == "waiting"
    FailureGroup.objects.update(muted_until=timezone.now() - timedelta(seconds=1))
    announce((later := failed_run()).pk)
    assert Delivery.objects.get(run=later).status == "waiting"


def told_of(told, nth=3):
    """What a channel is told of when a flow goes well, fails four times, recovers, goes well, and is cancelled."""
    row = channel(told=told, nth=nth)
    runs = [good_run(), *(failed_run() for _ in range(4)), good_run(), good_run()]
    of_flow(runs[0].flow, *runs)
    cancelled = open_graph({"a": ()}, start=False)
    move_run(cancelled.pk, RunState.RUNNING, RunState.CANCELLED, actor="test")
    of_flow(runs[0].flow, cancelled)
    note_runs([run.pk for run in [*runs, cancelled]])
    names = {run.pk: number for number, run in enumerate(runs)} | {cancelled.pk: "cancelled"}
    return [(names[run], event) for run, event in row.deliveries.order_by("run", "event").values_list("run", "event")]


def test_a_channel_gets_only_the_events_that_it_chose():
    assert told_of(["success"]) == [(0, "success"), (5, "success"), (6, "success")]
    assert told_of(["failure"]) == [(n, "failure") for n in (1, 2, 3, 4)]
    assert told_of(["recovered"]) == [(5, "recovered")]
    assert told_of(["repeated"]) == [(3, "repeated")] and told_of(["repeated"], nth=2) == [(2, "repeated")]
    everything = [(0, "success"), (1, "failure"), (2, "failure"), (3, "repeated"), (4, "failure"), (5, "recovered")]
    assert told_of(["success", "failure", "recovered", "repeated"]) == [*everything, (6, "success")]


def test_a_channel_for_first_failures_gets_no_more_until_the_flow_has_recovered():
    assert told_of(["first"]) == [(1, "first")]
    assert told_of(["first", "repeated"]) == [(1, "first"), (3, "repeated")]
    assert told_of(["first", "failure"]) == [(1, "first"), *((n, "failure") for n in (2, 3, 4))]
    row = channel(told=["first"])
    runs = [failed_run(), failed_run(), good_run(), failed_run()]
    of_flow(runs[0].flow, *runs)
    note_runs([run.pk for run in runs])
    assert list(row.deliveries.order_by("run").values_list("run", flat=True)) == [runs[0].pk, runs[3].pk]
    assert "failed: a" in row.deliveries.first().subject


def test_a_channel_gets_alerts_of_its_flow_and_tags_only_and_none_from_before_it_existed():
    run, other = failed_run(), failed_run()
    flow = other.flow
    Flow.objects.filter(pk=run.flow_id).update(tags=["finance"])
    rows = {
        "its flow": channel(flow=flow),
        "its tag": channel(tags=["finance", "x"]),
        "other tags": channel(tags=["x"]),
        "all": channel(),
        "off": channel(enabled=False),
        "later": channel(since=timezone.now() + timedelta(hours=1)),
    }
    note_runs([run.pk, other.pk])
    heard = {name: sorted(row.deliveries.values_list("run", flat=True)) for name, row in rows.items()}
    same = flow.pk == run.flow_id
    assert heard["all"] == [run.pk, other.pk] and heard["off"] == heard["later"] == heard["other tags"] == []
    assert heard["its flow"] == ([run.pk, other.pk] if same else [other.pk])
    assert run.pk in heard["its tag"]


def test_a_channel_that_was_off_gets_no_alerts_of_that_time():
    row = channel(enabled=False)
    run = failed_run()
    row.enabled = True
    services.save_channel(row)
    look_again()
    assert not row.deliveries.filter(run=run).exists()
    announce((later := failed_run()).pk)
    assert row.deliveries.filter(run=later).count() == 1


def test_a_run_that_takes_twice_as_long_as_usual_sends_one_alert():
    row = channel(told=["slow"])
    runs = [good_run() for _ in range(3)]
    now = timezone.now()
    for run in runs:
        Run.objects.filter(pk=run.pk).update(started_at=now - timedelta(seconds=600), ended_at=now)
    going = open_graph({"a": ()}, start=False)
    of_flow(runs[0].flow, *runs, going)
    Run.objects.filter(pk=going.pk).update(started_at=now - timedelta(seconds=1100))
    assert note_slow(now) == 0
    assert note_slow(now + timedelta(seconds=200)) == 1 and note_slow(now + timedelta(hours=1)) == 0
    told = row.deliveries.get().body
    assert told["usual_s"] == 600 and told["duration_s"] > 1000 and told["event"] == "slow"


def test_a_due_time_without_a_run_is_reported_once():
    now = timezone.now().replace(second=0, microsecond=0)
    run = good_run()
    flow = run.flow
    row = channel(told=["late"])
    flow.cron, flow.decided_until = "0 * * * *", now - timedelta(hours=2)
    flow.save()
    assert note_late(now) == 1 and note_late(now) == 0  # no scheduler has looked
    told = row.deliveries.get().body
    assert told["next_start"] > told["due_at"] and told["flow"] == flow.name and told["owner"] == ""
    due = now - timedelta(minutes=30)
    Flow.objects.update(cron="")
    for minutes, outcome in (
        (30, "missed"),
        (40, "refused"),
        (5, "missed"),
        (50, "paused"),
        (51, "skipped"),
        (52, "run"),
    ):
        Tick.objects.create(flow=flow, due_at=now - timedelta(minutes=minutes), outcome=outcome)
    queued = start_run(flow, trigger=Trigger.SCHEDULE, actor="test", tick=Tick.objects.get(outcome="run"))
    assert note_late(now) == 3 and note_late(now) == 0
    assert {told["due_at"] for told in row.deliveries.values_list("body", flat=True)} >= {instant(due)}
    assert queued.state == "queued" and row.deliveries.filter(event=EventKind.LATE).count() == 4


def test_an_administrator_makes_a_channel_tries_it_and_reads_what_came_back(web):
    ada = Person("ada", "everything")
    page = ada.open("/alerts/new/")
    assert page.inline == []
    sent = {"name": "Team", "kind": "webhook", "target": web.url, "events": ["failure", "late"]}
    page = ada.post(page, page.form("channel"), sent)
    row = Channel.objects.get()
    assert page.url == f"/alerts/{row.pk}/" and row.events == ["failure", "late"] and row.enabled
    page = ada.post(page, page.form("test"), {})
    assert page.messages == ["The receiver accepted the test message."] and body_of(web)["event"] == "test"
    web.answers = [500]
    page = ada.post(page, page.form("test"), {})
    assert "answered 500" in page.messages[0] and "answered 500" in page.html
    failed = Delivery.objects.filter(status="failed").get()
    page = ada.post(page, page.form("new-secret"), {})
    row.refresh_from_db()
    assert secret_of(row.salt) in page.html and secret_of(row.salt) not in ada.open(f"/alerts/{row.pk}/").html
    web.answers = [200]
    (again,) = [form for form in page.forms if form.action == f"/alerts/messages/{failed.pk}/again/"]
    page = ada.post(page, again, {})
    assert page.messages == ["Sending the message again."] and send(failed.pk) is not None
    assert web.url not in ada.open("/alerts/").html
    ada.post(page, page.form("delete"), {})
    assert not Channel.objects.exists()


@pytest.mark.parametrize(
    ("kind", "target", "said"),
    [
        ("webhook", "http://127.0.0.1/", "private network"),
        ("slack", "javascript:alert(1)", "must begin with"),
        ("email", "ada@example.org, nobody", "nobody is not an email address"),
        ("email", "ada@example.org\nBcc: x@example.org", "is not an email address"),
    ],
)
def test_an_impossible_target_is_an_error_beside_its_field(kind, target, said):
    ada = Person("ada", "everything")
    page = ada.open("/alerts/new/")
    page = ada.post(page, page.form("channel"), {"name": "x", "kind": kind, "target": target})
    assert page.status == 422 and said in page.html and not Channel.objects.exists()


def test_the_guide_shows_the_message_as_it_is_and_how_to_verify_it(web, settings):
    guide = (settings.BASE_DIR / "docs" / "alerts.md").read_text()
    shown = json.loads(guide.split("```json")[1].split("```")[0])
    code: dict = {}
    exec(guide.split("```python")[1].split("```")[0], code)
    row = channel(web.url)
    announce(failed_run().pk)
    send(Delivery.objects.get().pk)
    headers, body = web.got[0]
    assert list(json.loads(body)) == list(shown)
    assert code["is_from_dex"](secret_of(row.salt), headers["X-Dex-Signature"], body)
    assert not code["is_from_dex"](secret_of(row.salt), headers["X-Dex-Signature"], body + b" ")
    events = set(guide.split("## Events")[1].split("## What")[0].split("`")[1::2])
    assert set(EventKind.values) <= events


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("", ("", 0, "", "", False, False)),
        ("smtp://mail.example.org", ("mail.example.org", 25, "", "", False, False)),
        ("smtp://ada%40x.org:p%3Aw@mail:2525?tls=1", ("mail", 2525, "ada@x.org", "p:w", True, False)),
        ("smtps://mail", ("mail", 465, "", "", False, True)),
        ("http://mail", None),
        ("smtp://mail:port", None),
        ("smtp://mail?tsl=1", None),
        ("smtp://", None),
    ],
)
def test_the_mail_server_is_read_from_a_url(url, server):
    assert mail_server(url) == server


class Slow:
    """A receiver that answers a byte every tenth of a second, and is never done."""

    def __init__(self, begin=b"HTTP/1.1 200 OK\r\n", again=b"X"):
        self.begin, self.again = begin, again
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with self.socket:
            taken, _ = self.socket.accept()
            with taken:
                try:
                    taken.sendall(self.begin)
                    while not self.over.wait(0.1):
                        taken.sendall(self.again)
                except OSError:
                    pass


@pytest.mark.parametrize(
    ("begin", "again"),
    [(b"", b"H"), (b"HTTP/1.1 200 OK\r\n", b"X"), (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["status", "headers", "continue"],
)
def test_a_receiver_that_answers_a_byte_now_and_then_is_given_up_at_the_deadline(begin, again, settings, monkeypatch):
    settings.NOTIFY_PRIVATE = True
    monkeypatch.setattr(sending, "EXCHANGE_S", 1.0)
    slow = Slow(begin, again)
    row = channel(slow.url)
    announce(failed_run().pk)
    began = time.monotonic()
    assert send(Delivery.objects.get(channel=row).pk) is False
    assert time.monotonic() - began < 5
    slow.over.set()
    assert Delivery.objects.get().last_error == "no answer within 1 s"


def test_a_mail_server_that_greets_a_letter_at_a_time_is_given_up_at_the_deadline(settings, monkeypatch):
    slow = Slow(b"220 ", b"x")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", slow.port
    monkeypatch.setattr(sending, "EXCHANGE_S", 1.0)
    row = channel("ada@example.org", kind="email")
    announce(failed_run().pk)
    began = time.monotonic()
    assert send(Delivery.objects.get(channel=row).pk) is False
    assert time.monotonic() - began < 5
    slow.over.set()
    assert Delivery.objects.get().last_error == "no answer within 1 s"


def test_nobody_takes_over_a_message_before_its_sender_has_given_up():
    assert sending.CLAIM_S > 2 * sending.EXCHANGE_S


def test_the_address_of_a_webhook_is_in_no_row_and_on_no_page(tmp_path, settings):
    settings.DEX_HOME, settings.NOTIFY_PRIVATE = tmp_path, True
    secret = "/services/T0/B0/a-secret-path"
    ada = Person("ada", "everything")
    page = ada.open("/alerts/new/")
    sent = {"name": "Team", "kind": "slack", "target": f"http://127.0.0.1:9{secret}", "events": ["failure"]}
    page = ada.post(page, page.form("channel"), sent)
    row = Channel.objects.get()
    assert address_of(row) == f"http://127.0.0.1:9{secret}" and row.target == "http://127.0.0.1:9/…"
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM runs_channel")
        assert "secret-path" not in str(cursor.fetchall())
    again = ada.open(f"/alerts/{row.pk}/")
    for shown in (page, again, ada.open("/alerts/")):
        assert shown.status == 200 and "secret-path" not in shown.html
    assert "http://127.0.0.1:9/…" in again.html
    ada.post(again, again.form("test"), {})
    assert "secret-path" not in str(list(Delivery.objects.values()))
    ada.post(again, again.form("channel"), {"name": "Others"})
    row.refresh_from_db()
    assert row.name == "Others" and address_of(row) == f"http://127.0.0.1:9{secret}"
    asked = ada.post(again, again.form("channel"), {"kind": "email"})
    assert asked.status == 422 and "Enter the email addresses" in asked.html
    ada.post(again, again.form("channel"), {"kind": "email", "target": "ada@example.org"})
    row.refresh_from_db()
    assert (row.target, row.sealed) == ("ada@example.org", "")


@pytest.mark.django_db(transaction=True)
def test_addresses_that_lay_in_the_clear_are_encrypted_by_the_migration_and_back(tmp_path, settings):
    settings.DEX_HOME = tmp_path
    migration = import_module("runs.migrations.0013_channel_sealed")
    url = "https://hooks.slack.com/services/T0/B0/x"
    old = Channel.objects.create(name="old", kind="slack", target=url)
    mail = Channel.objects.create(name="mail", kind="email", target="ada@example.org")
    migration.encrypt(apps, None)
    old.refresh_from_db()
    assert old.target == "https://hooks.slack.com/…" and address_of(old) == url
    migration.encrypt(apps, None)
    migration.decrypt(apps, None)
    old.refresh_from_db()
    mail.refresh_from_db()
    assert (old.target, old.sealed, mail.target) == (url, "", "ada@example.org")
