"""The HTTP client connects to what was checked: after a redirect, after a change of mind, and under the right name."""

import shutil
import socket
import ssl
import subprocess
import time

import pytest
import requests

from flows.infra.network.deadline import Deadline
from flows.infra.network.guard import Guard
from flows.infra.network.policy import AddressError, Policy
from flows.infra.network.posting import PostError, post
from flows.infra.network.session import Session, TooLarge, blocks
from tests.helpers.receivers import Web, serving
from tests.helpers.servers import require

HERE = Policy(allow=("here.example.org",))


def lookup(*answers):
    """A resolver that gives one answer after the other, the last one again and again."""
    left = list(answers)

    def getaddrinfo(host, port, *rest, **more):
        ip = host if host[0].isdigit() else left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port or 0))]

    return getaddrinfo


@pytest.mark.parametrize(
    "location", ["http://127.0.0.2:{port}/", "http://2130706434:{port}/", "http://[::ffff:7f00:2]:{port}/"]
)
def test_a_redirect_to_a_private_address_ends_there(location):
    with serving(Web(answers=[302, 200])) as web, Session(Guard(HERE, real_or_here)) as session:
        web.headers = {"Location": location.format(port=web.port)}
        with pytest.raises(AddressError, match="in a private network"):
            session.get(f"http://here.example.org:{web.port}/")
        assert len(web.got) == 1


def test_a_redirect_to_a_metadata_address_ends_there_though_private_ones_are_allowed():
    with serving(Web(answers=[302, 200])) as web, Session(Guard(Policy(private=True))) as session:
        web.headers = {"Location": "http://169.254.169.254/latest/meta-data/"}
        with pytest.raises(AddressError, match="metadata address"):
            session.get(web.url)


def test_a_redirect_to_an_address_that_is_allowed_is_followed():
    with serving(Web(answers=[302, 200])) as web, Session(Guard(HERE, real_or_here)) as session:
        web.headers = {"Location": f"http://here.example.org:{web.port}/other"}
        assert session.get(f"http://here.example.org:{web.port}/").status_code == 200
        assert len(web.got) == 2


def real_or_here(host, *rest, **more):
    return REAL("127.0.0.1" if host == "here.example.org" else host, *rest, **more)


REAL = socket.getaddrinfo


def test_a_name_that_moves_after_it_was_checked_is_connected_to_where_it_was():
    with serving(Web()) as web:
        guard = Guard(HERE, lookup("127.0.0.1", "127.0.0.9"))
        for _ in range(2):  # a second connection, not the first one kept open
            with Session(guard) as session:
                assert session.get(f"http://here.example.org:{web.port}/hook").status_code == 200
        assert [headers["Host"] for headers, _ in web.got] == [f"here.example.org:{web.port}"] * 2
    moving = Guard(Policy(), lookup("93.184.216.34", "127.0.0.1"))
    assert [moving.resolve("moves.example.org") for _ in range(3)] == ["93.184.216.34"] * 3


def test_the_next_address_is_tried_where_the_first_does_not_answer():
    def both(host, port, *rest, **more):
        return [(socket.AF_INET, 1, 6, "", (ip, 0)) for ip in ("127.0.0.9", "127.0.0.1")]

    with serving(Web()) as web, Session(Guard(HERE, both), deadline=Deadline(20)) as session:
        assert session.get(f"http://here.example.org:{web.port}/").status_code == 200


def test_neither_proxies_nor_a_netrc_of_the_machine_are_used(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret-of-mine\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(Web()) as proxy, serving(Web()) as web:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        with Session(Guard(Policy(private=True))) as session:
            session.proxies["http"] = f"http://127.0.0.1:{proxy.port}"
            session.get(web.url)
        assert proxy.got == [] and "Authorization" not in web.got[0][0]


def test_no_more_of_an_answer_is_read_than_was_asked_for():
    with serving(Web()) as web, Session(Guard(Policy(private=True))) as session:
        web.said = b"x" * 1_000_000
        with session.get(web.url, stream=True) as answer:
            assert b"".join(blocks(answer, 1_000_000)) == web.said
        with session.get(web.url, stream=True) as answer, pytest.raises(TooLarge):
            list(blocks(answer, 999_999))


@pytest.fixture
def secure(tmp_path, monkeypatch):
    """A receiver behind TLS, with a certificate for here.example.org that the machine trusts."""
    require(openssl=shutil.which("openssl"))
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=here", "-addext", "subjectAltName=DNS:here.example.org", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(socket, "getaddrinfo", lookup("127.0.0.1"))
    web, names = Web(), []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.sni_callback = lambda _, name, __: names.append(name)
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    web.names = names
    with serving(web):
        yield web


def test_the_certificate_must_be_the_names_though_the_connection_goes_to_an_address(secure):
    policy = Policy(private=True)
    url = f"https://here.example.org:{secure.port}/hook"
    assert post(url, b"{}", {}, policy=policy, deadline=Deadline(20)) == ""
    assert secure.names == ["here.example.org"] and secure.got[0][0]["Host"] == f"here.example.org:{secure.port}"
    with Session(Guard(policy)) as session:  # without a deadline, too
        assert session.get(url).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url.replace("here", "there"))
    with pytest.raises(PostError, match="no secure connection"):
        post(url.replace("here", "there"), b"{}", {}, policy=policy, deadline=Deadline(20))
    assert len(secure.got) == 2


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_deadline_holds_for_the_whole_exchange_of_a_session(secure, encrypted):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, began = silent.getsockname()[1], time.monotonic()
        url = f"http{'s' if encrypted else ''}://here.example.org:{port}/"
        with Session(Guard(Policy(private=True)), deadline=Deadline(0.5)) as session, pytest.raises(requests.Timeout):
            session.get(url)
        assert time.monotonic() - began < 10


def test_a_name_that_nobody_answers_for_is_given_up_at_the_deadline(monkeypatch):
    def silent(*_, **__):
        time.sleep(30)

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    with pytest.raises(PostError, match=r"no answer within 0.3 s"):
        post("http://here.example.org/", b"{}", {}, policy=HERE, deadline=Deadline(0.3))


def test_no_log_line_holds_the_path_of_what_is_posted_to(caplog):
    caplog.set_level("DEBUG")
    with serving(Web()) as web:
        url = f"http://127.0.0.1:{web.port}/services/secret-path"
        post(url, b"{}", {}, policy=Policy(private=True), deadline=Deadline(20))
    assert "secret-path" not in caplog.text
