"""One table of hostile addresses, and everybody in dex who connects somewhere that a person typed."""

import json
import socket
import subprocess
import sys

import pytest

from flows.infra.network.guard import Guard
from flows.infra.network.policy import AddressError, Policy
from nodes.connections.connectors.client import CODE
from runs.alerts.forms import ChannelForm
from runs.alerts.models import Channel, Delivery
from runs.alerts.sending import send
from runs.alerts.targets import keep_address
from runs.operations import openlineage
from tests.flows.infra.network.hostile import HOSTS, SAID, UNICODE, ZONED, lookup
from tests.helpers.receivers import Web, serving
from tests.helpers.waiting import patience

pytestmark = pytest.mark.exhaustive

REFUSED = ("config", True)  # the kind of failure, and whether it says what the address is
METADATA = {host: what for host, what in HOSTS.items() if what == "metadata"}


@pytest.fixture(autouse=True)
def resolver(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lookup(socket.getaddrinfo))


def from_form(url):
    """What the form of a channel says of a URL."""
    data = {"name": "x", "kind": "webhook", "target": url, "events": ["failure"], "nth": 3}
    return str(ChannelForm(data).errors.get("target", ""))


def from_sending(url, kind="webhook"):
    """What a message says that is sent to a URL, which came into the database by some other way."""
    channel = Channel.objects.create(kind=kind, name=f"channel {Channel.objects.count()}", events=["failure"])
    keep_address(channel, url)
    channel.save()
    row = Delivery.objects.create(
        channel=channel, event="test", subject="x", body={}, key=f"test {channel.pk}", next_at="2020-01-01T00:00:00Z"
    )
    assert send(row.pk) is False
    row.refresh_from_db()
    return row.last_error


def from_openlineage(url, settings):
    """What the sender of events says of the address of a catalogue."""
    settings.OPENLINEAGE_URL = url
    with pytest.raises(AddressError) as caught:
        openlineage._emit({})
    return str(caught.value)


@pytest.mark.parametrize(("host", "what"), {**HOSTS, **UNICODE, **ZONED}.items())
def test_the_guard_refuses_every_spelling_of_what_nobody_may_reach(host, what):
    with pytest.raises(AddressError, match=SAID[what]):
        Guard(Policy()).resolve(host.strip("[]"))


@pytest.mark.django_db
@pytest.mark.parametrize(("host", "what"), HOSTS.items())
def test_no_channel_is_made_and_no_message_is_sent_to_a_hostile_address(host, what):
    assert SAID[what] in from_form(f"http://{host}/hook")
    assert SAID[what] in from_sending(f"http://{host}/hook")
    assert SAID[what] in from_sending(f"http://{host}/hook", kind="slack")


@pytest.mark.django_db
@pytest.mark.parametrize("host", METADATA)
def test_alerts_and_openlineage_reach_no_metadata_where_private_networks_are_allowed(host, settings):
    settings.NOTIFY_PRIVATE, settings.NOTIFY_ALLOW = True, ["metadata.example.org", "169.254.0.0/16", "::/0"]
    assert SAID["metadata"] in from_form(f"http://{host}/hook")
    assert SAID["metadata"] in from_sending(f"http://{host}/hook")
    assert SAID["metadata"] in from_openlineage(f"http://{host}", settings)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    [
        *("http://example.org@127.0.0.1/", "http://u:p@127.0.0.1/", "http://127.0.0.1#@example.org/ x"),
        *("http://example.org\\@127.0.0.1/", "http://127.0.0.1\\@example.org/", "http://example.org\t@127.0.0.1/"),
        *(f"http://{host}/" for host in UNICODE),
        *("ftp://example.org/", "file:///etc/passwd", "example.org", "http://", "http://a:x/", "//x/"),
        *("http://example.org/a b", "http://example.org/\r\nX: y", "gopher://127.0.0.1:25/", "http://[fe80::1%251]/"),
    ],
)
def test_a_url_that_two_parsers_may_read_differently_is_refused(url, settings):
    settings.NOTIFY_PRIVATE = True
    assert "URL" in from_form(url) and "URL" in from_sending(url)
    assert "URL" in from_openlineage(url, settings)


OURS = ["REST API", "file over HTTP", "file with a user name", "PostgreSQL", "MySQL", "SFTP"]


def connectors_say(hosts, names=OURS, **network):
    order = json.dumps({"hosts": list(hosts), "names": names, "network": network})
    command = [sys.executable, "-m", "tests.flows.infra.network.trying"]
    done = subprocess.run(command, input=order, cwd=CODE, capture_output=True, text=True, timeout=patience(120))
    assert done.returncode == 0, done.stderr
    return [(host, name, *told) for host, said in json.loads(done.stdout).items() for name, told in said.items()]


@pytest.mark.process
def test_no_connector_reaches_a_hostile_address():
    expected = {**HOSTS, **UNICODE}
    said = connectors_say(expected)
    assert len(said) == len(OURS) * len(expected)
    # Letters that no name of a host may hold are refused before anybody looks them up.
    letters = [each for each in said if each[0] in UNICODE and each[2] == "other" and "not allowed" in each[3]]
    said = [each for each in said if each not in letters]
    assert len(letters) == 6 and not [each for each in said if (each[2], SAID[expected[each[0]]] in each[3]) != REFUSED]


@pytest.mark.process
def test_no_connector_reaches_metadata_where_private_networks_are_allowed():
    said = connectors_say(METADATA, private=True, allow=["metadata.example.org", "169.254.0.0/16", "::/0"])
    assert not [each for each in said if (each[2], SAID["metadata"] in each[3]) != REFUSED]


@pytest.mark.process
def test_a_library_that_connects_itself_is_held_to_the_same():
    for host, private in (("inside.example.org", False), ("169.254.169.254", True)):
        ((_, _, kind, message),) = connectors_say([host], names=["S3"], private=private)
        assert (kind, SAID[HOSTS[host]] in message) == REFUSED


@pytest.mark.process
def test_connectors_reach_a_private_address_that_is_named_by_its_host_a_network_or_itself():
    for host, allow in (("inside.example.org", "Inside.Example.org."), ("127.1", "127.0.0.0/8"), ("[::1]", "::1")):
        said = connectors_say([host], allow=[allow])
        assert {each[2] for each in said} == {"port"}, said  # nothing listens there: it was tried


def test_a_metadata_address_that_is_named_itself_may_be_reached():
    for allow in ("169.254.169.254", "169.254.169.254/32"):
        policy = Policy(allow=(allow,))
        assert Guard(policy).resolve("metadata.example.org") == "169.254.169.254"
        policy.check("x", "::ffff:169.254.169.254")
        with pytest.raises(AddressError):
            policy.check("x", "169.254.169.253")


@pytest.mark.django_db
def test_a_channel_to_a_metadata_address_that_is_named_can_be_made(settings):
    settings.NOTIFY_ALLOW = ["169.254.169.254"]
    assert from_form("http://169.254.169.254/") == from_form("http://metadata.example.org/") == ""
    assert "metadata address" in from_form("http://169.254.169.253/")


@pytest.mark.django_db
def test_private_hosts_and_networks_that_are_named_get_messages(settings):
    settings.NOTIFY_ALLOW = ["INSIDE.example.org", "10.0.0.0/8"]
    assert from_form("http://inside.example.org/") == from_form("http://10.1.2.3/") == ""
    assert "private network" in from_form("http://127.0.0.1/") and "private network" in from_form("http://192.168.0.1/")


@pytest.mark.django_db
def test_an_event_for_a_catalogue_follows_no_redirect(settings):
    with serving(Web(answers=[302])) as web:
        web.headers = {"Location": "http://169.254.169.254/"}
        settings.OPENLINEAGE_URL = web.url
        with pytest.raises(Exception, match="a redirect"):
            openlineage._emit({})
    assert len(web.got) == 1
