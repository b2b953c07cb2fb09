"""A configuration is right, or dex says at the start what is wrong: all of it at once, by name."""

import os
import re
import ssl
import stat
import subprocess
import sys
import threading

import pytest
from django.core.exceptions import ImproperlyConfigured

from dexsite.configuration import Reader, broker_tls
from flows.infra.private_files import key_file
from tests.helpers.paths import ROOT
from tests.helpers.waiting import patience

pytestmark = pytest.mark.process

GOOD_KEY = "jV3xkq0Zt9-WmLr5_yB7nHc2EoP8sUdFa4TgXi6K1v-0qLz8Rb"
SAY = (
    "from dexsite import settings as s; print(s.SECRET_KEY, s.EMBEDDED, s.SECURE_SSL_REDIRECT if s.PRODUCTION else '')"
)


def started(home, *arguments, **environment):
    """A process that reads the settings, with nothing of this one's configuration."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DEX_", "DATABASE_", "CELERY_", "DJANGO_"))}
    return subprocess.run(
        [sys.executable, *(arguments or ("-c", SAY))],
        env={**clean, "DEX_HOME": str(home), "DJANGO_SETTINGS_MODULE": "dexsite.settings", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def complaints(home, **environment):
    done = started(home, **environment)
    assert done.returncode != 0
    assert "ImproperlyConfigured: dex cannot start:" in done.stderr
    return [line.removeprefix("  - ") for line in done.stderr.splitlines() if line.startswith("  - ")]


def test_every_bad_value_is_named_in_one_go(tmp_path):
    said = complaints(
        tmp_path,
        DEX_DEBUG="perhaps",
        DEX_SWEEP_S="often",
        DEX_LEASE_S="nan",
        DEX_WORKER_THREADS="1.5",
        DEX_INFRA_ATTEMPTS="0",
        DEX_SCRIPT_RENEW_DAYS="monthly",
        DEX_LOG_LEVEL="loud",
        DATABASE_URL="mysql://dex@db/dex",
        CELERY_BROKER_URL="kafka://broker",
    )
    names = [sentence.split()[0].split("=")[0] for sentence in said]
    assert sorted(names) == sorted(
        [
            "DEX_DEBUG",
            "DEX_SWEEP_S",
            "DEX_LEASE_S",
            "DEX_WORKER_THREADS",
            "DEX_INFRA_ATTEMPTS",
            "DEX_SCRIPT_RENEW_DAYS",
            "DEX_LOG_LEVEL",
            "DATABASE_URL",
            "CELERY_BROKER_URL",
        ]
    )


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"DEX_HEARTBEAT_S": "40"}, "DEX_HEARTBEAT_S < DEX_SELF_FENCE_S < DEX_LEASE_S must be true"),
        ({"DATABASE_URL": "sqlite://"}, "DATABASE_URL must name a file"),
        ({"DATABASE_URL": "postgresql://dex:hunter2secret@db:port/dex"}, "DATABASE_URL is not valid"),
    ],
)
def test_values_that_do_not_go_together_are_refused(tmp_path, environment, says):
    (said,) = complaints(tmp_path, **environment)
    assert said.startswith(says)
    assert "hunter2secret" not in said


def test_a_home_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    (said,) = complaints(tmp_path / "file")
    assert said.startswith("DEX_HOME names ") and "File exists" in said


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, {"DEX_SECRET_KEY", "DEX_ALLOWED_HOSTS"}),
        ({"DEX_SECRET_KEY": "short", "DEX_ALLOWED_HOSTS": "dex.example.org"}, {"DEX_SECRET_KEY"}),
        ({"DEX_SECRET_KEY": "a" * 60, "DEX_ALLOWED_HOSTS": "dex.example.org"}, {"DEX_SECRET_KEY"}),
        ({"DEX_SECRET_KEY": f"django-insecure-{GOOD_KEY}", "DEX_ALLOWED_HOSTS": "h"}, {"DEX_SECRET_KEY"}),
        ({"DEX_SECRET_KEY": f"Change-me-{GOOD_KEY}", "DEX_ALLOWED_HOSTS": "h"}, {"DEX_SECRET_KEY"}),
        ({"DEX_SECRET_KEY": GOOD_KEY, "DEX_ALLOWED_HOSTS": "*"}, {"DEX_ALLOWED_HOSTS"}),
        ({"DEX_SECRET_KEY": GOOD_KEY, "DEX_ALLOWED_HOSTS": " , "}, {"DEX_ALLOWED_HOSTS"}),
        ({"DEX_SECRET_KEY": GOOD_KEY, "DEX_ALLOWED_HOSTS": "h", "DEX_DEBUG": "1"}, {"DEX_DEBUG"}),
        (
            {"DEX_SECRET_KEY": GOOD_KEY, "DEX_ALLOWED_HOSTS": "h", "DATABASE_URL": "postgresql://dex@db/dex"},
            {"CELERY_BROKER_URL"},
        ),
    ],
)
def test_production_refuses_what_is_only_good_for_trying_out(tmp_path, environment, named):
    said = complaints(tmp_path, DEX_PRODUCTION="1", **environment)
    assert {sentence.split()[0] for sentence in said} == named


def test_production_settings_leave_no_warning_of_djangos_deployment_check(tmp_path):
    done = started(
        tmp_path,
        *("manage.py", "check", "--deploy", "--fail-level", "WARNING"),
        DEX_PRODUCTION="1",
        DEX_SECRET_KEY=GOOD_KEY,
        DEX_ALLOWED_HOSTS="dex.example.org",
    )
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout


def test_an_empty_variable_counts_as_not_given(tmp_path):
    done = started(
        tmp_path,
        DEX_PRODUCTION="1",
        DEX_SECRET_KEY=GOOD_KEY,
        DEX_ALLOWED_HOSTS="dex.example.org",
        DEX_SSL_REDIRECT="",
        DEX_SWEEP_S=" ",
        CELERY_BROKER_URL="",
        DATABASE_URL="",
    )
    assert done.stdout.split() == [GOOD_KEY, "True", "True"], done.stderr


def test_a_first_start_makes_a_key_that_only_its_owner_reads_and_later_starts_use_it(tmp_path):
    first, second = started(tmp_path / "home").stdout, started(tmp_path / "home").stdout
    path = tmp_path / "home" / "keys" / "secret_key"
    assert first == second and first.split()[0] == path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.write_text("")
    assert complaints(tmp_path / "home") == [f"DEX_HOME: the key file {path} is empty; remove it for a new one"]


def test_two_first_starts_at_once_end_with_one_key(tmp_path):
    code = "import sys, pathlib; from flows.infra.private_files import key_file; sys.stdin.read(1); "
    code += f"print(key_file(pathlib.Path({str(tmp_path / 'keys' / 'secret_key')!r})))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        for _ in range(4)
    ]
    answers = [process.communicate(b"x", timeout=patience(30))[0] for process in processes]
    assert len(set(answers)) == 1 and len(answers[0]) > 40


def test_many_threads_that_make_the_key_agree_and_leave_nothing_behind(tmp_path):
    found, gate = [], threading.Barrier(16)

    def make() -> None:
        gate.wait()
        found.append(key_file(tmp_path / "keys" / "secret_key"))

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["secret_key"]


@pytest.mark.parametrize(("raw", "value"), [("1", True), ("Yes", True), (" on ", True), ("0", False), ("off", False)])
def test_yes_and_no_are_read_however_they_are_written(raw, value):
    assert Reader({"X": raw}).flag("X", default=not value) is value


def test_every_complaint_is_raised_together():
    reader = Reader({"A": "x", "B": "-1", "C": "inf"})
    assert (reader.number("A", 5), reader.count("B", 3), reader.number("C", 1)) == (5, 3, 1)
    with pytest.raises(ImproperlyConfigured) as raised:
        reader.check()
    assert str(raised.value).count("\n  - ") == 3


def test_every_setting_is_in_the_table_of_settings():
    names = set(re.findall(r'_read\.\w+\(\s*"([A-Z_]+)"', (ROOT / "dexsite" / "settings.py").read_text()))
    table = (ROOT / "docs" / "settings.md").read_text()
    assert names - set(re.findall(r"`([A-Z_]+)`", table)) == set()


@pytest.mark.parametrize(
    ("url", "tls"),
    [
        ("memory://", None),
        ("redis://:p@broker:6379/0", None),
        ("rediss://dex:p@broker:6379/0", {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}),
        ("rediss://dex:p@broker/0?ssl_cert_reqs=required&ssl_ca_certs=/etc/ca.pem", None),
        ("amqps://dex:p@broker//", {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "broker"}),
    ],
)
def test_a_broker_with_tls_must_show_a_certificate_for_its_name(url, tls):
    assert broker_tls(url) == tls


def test_a_connection_to_such_a_broker_checks_its_certificate(tmp_path):
    code = (
        "from dexsite.celery import app; from kombu import Connection; c = app.connection_for_write(); "
        "print(c.ssl, app.conf.worker_enable_remote_control, c.as_uri())"
    )
    done = started(tmp_path, "-c", code, CELERY_BROKER_URL="rediss://dex:secret@broker:6379/0")
    assert "CERT_REQUIRED" in done.stdout and " False rediss://dex:**@broker" in done.stdout, done.stderr


def test_the_example_for_growing_has_a_password_and_tls_for_every_server():
    example = (ROOT / "README.md").read_text().split("## Growing")[1].split("```")[1]
    assert "rediss://dex:PASSWORD@" in example and "sslmode=verify-full" in example and "redis://broker" not in example


def test_nothing_promises_that_no_work_is_ever_repeated():
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))]
    assert not [text for text in texts if re.search(r"run twice|runs twice|never twice|exactly once", text)]
    assert "may run again" in texts[0]
