"""Files and tables of other machines, read over their real protocols from servers on this one."""

import base64
import hashlib
import json
from urllib.parse import unquote

import boto3
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

from tests.helpers.servers import free_port, require
from tests.nodes.connections.api import Api, send
from tests.nodes.connections.loads import Place
from tests.nodes.connections.servers import PASSWORD, MariaDb, Sftp

HEAD = "id,amount\n"


def csv(first, last):
    return HEAD + "".join(f"{i},{i * 2}\n" for i in range(first, last))


def counts(place, table="orders"):
    return place.one(f"SELECT count(*), sum(amount) FROM shop.{table}")


def test_files_in_s3(tmp_path):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    port = server._server.server_port
    client = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="x" * 20,
        region_name="eu-central-1",
    )  # fmt: skip
    try:
        client.create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        client.put_object(Bucket="shop", Key="exports/orders/1.csv", Body=csv(1, 11).encode())
        config = {
            "place": "s3", "folder": "shop/exports", "key_id": "AKIAEXAMPLE", "key_secret": "x" * 20,
            "region": "eu-central-1", "endpoint": f"http://127.0.0.1:{port}",
        }  # fmt: skip
        place = Place(tmp_path, "files", config)
        assert place.test().ok
        place.loaded("orders")
        assert counts(place) == (10, 110)
        client.put_object(Bucket="shop", Key="exports/orders/2.csv", Body=csv(11, 21).encode())
        place.loaded("orders")
        assert counts(place) == (20, 420)
        place.config = {**config, "folder": "nowhere/at-all"}
        assert place.test().kind == "config"
        place.config, place.order["network"] = config, {}
        said = place.test()
        assert (said.kind, "private network" in said.message) == ("config", True), said
    finally:
        server.stop()


def test_files_on_an_sftp_server(tmp_path):
    (tmp_path / "served" / "exports").mkdir(parents=True)
    (tmp_path / "served" / "exports" / "orders.csv").write_text(csv(1, 31))
    server = Sftp(tmp_path / "served")
    digest = base64.b64encode(hashlib.sha256(server.key.asbytes()).digest()).decode().rstrip("=")
    config = {
        "place": "sftp", "folder": "/exports", "host": "127.0.0.1", "port": server.port, "user": "reader",
        "password": PASSWORD, "host_key": f"SHA256:{digest}",
    }  # fmt: skip
    place = Place(tmp_path, "files", config)
    try:
        place.loaded("orders")
        assert counts(place) == (30, 930)
        place.config = {**config, "password": "wrong-password"}
        assert place.test().kind == "auth"
        place.config = {**config, "host_key": "SHA256:somebodyelse"}
        assert "Someone may be intercepting the connection" in place.test().message
        assert PASSWORD not in place.log.decode()
    finally:
        server.close()


@pytest.fixture(scope="module")
def service_account():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return json.dumps(
        {"type": "service_account", "client_email": "dex@example.test", "private_key": pem, "project_id": "p"}
    )


def test_files_in_google_cloud_storage(tmp_path, service_account):
    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="shop")
    server.start()
    import requests

    upload = f"http://127.0.0.1:{port}/upload/storage/v1/b/shop/o?uploadType=media&name=exports/orders.csv"
    try:
        assert requests.post(upload, data=csv(1, 6)).ok
        place = Place(tmp_path, "files", {"place": "gcs", "folder": "shop/exports", "service_account": service_account})
        pretending = ("-m", "tests.nodes.connections.pretending", "http://unused", f"http://127.0.0.1:{port}")
        outcome = place.load("orders", argv=pretending)
        assert outcome.ok, (outcome, place.log.decode()[-2000:])
        assert counts(place) == (5, 30)
    finally:
        server.stop()


def test_sheets_of_a_google_spreadsheet(tmp_path, service_account):
    """The API is played by a server that checks the signed request for a token, the path and the token."""
    cells = [["id", "amount", "note"], [1, 2, "=tea"], [2, 2.5], [], [3, "", "x"]]

    class Sheets(Api):
        def answer(self, handler):
            path = unquote(handler.path)
            if not handler.headers["Authorization"].startswith("Bearer t0ken"):
                send(handler, 401, {})
            elif path.startswith("/v4/spreadsheets/abc-DEF_1?fields="):
                send(handler, 200, {"sheets": [{"properties": {"title": "Bob's orders", "sheetType": "GRID"}}]})
            elif path.startswith("/v4/spreadsheets/abc-DEF_1/values/'Bob''s orders'?valueRender"):
                send(handler, 200, {"values": cells})
            else:
                send(handler, 404, {"error": path})

    api = Sheets()
    config = {
        "spreadsheet": "https://docs.google.com/spreadsheets/d/abc-DEF_1/edit#gid=0",
        "service_account": service_account,
    }
    place = Place(tmp_path, "google_sheets", config)
    pretending = ("-m", "tests.nodes.connections.pretending", api.url, "http://unused")
    try:
        outcome = place.load("Bob's orders", argv=pretending)
        assert outcome.ok, (outcome, place.log.decode()[-2000:])
        rows = [(1, 2.0, "=tea"), (2, 2.5, None), (3, None, "x")]
        assert place.rows("SELECT id, amount, note FROM shop.bob_s_orders ORDER BY id") == rows
        cells.append([4, 1, "new"])
        outcome = place.load({"name": "Bob's orders", "mode": "merge", "primary_key": ["id"]}, argv=pretending)
        assert outcome.ok, (outcome, place.log.decode()[-2000:])
        assert place.rows("SELECT count(*) FROM shop.bob_s_orders") == [(4,)]
        place.config = {**config, "spreadsheet": "gone"}
        kind, message = place.failed("Bob's orders", argv=pretending)
        assert (kind, "answered 404: the path does not exist." in message) == ("config", True)
    finally:
        api.close()


def test_mariadb_to_duckdb_in_every_mode(tmp_path):
    require(mariadbd=MariaDb.programs())
    server = MariaDb(tmp_path)
    try:
        server.ask(
            "CREATE DATABASE shop",
            "USE shop",
            "CREATE TABLE shop.orders (id BIGINT PRIMARY KEY, amount DECIMAL(12,2), updated_at DATETIME(6), note TEXT, "
            "flag TINYINT(1), about JSON)",
            "INSERT INTO shop.orders SELECT seq, seq * 1.25, '2026-01-01' + INTERVAL seq MINUTE, 'é', seq % 2, "
            "'{\"a\": 1}' FROM seq_1_to_2000",
            "CREATE TABLE shop.copy AS SELECT * FROM shop.orders",
            *server.reader("shop"),
        )
        config = server.source("shop")
        place = Place(tmp_path, "sql_database", config)
        assert place.discover()["orders"]["primary_key"] == ["id"]
        streams = (
            {"name": "orders", "mode": "merge", "primary_key": ["id"], "cursor": "updated_at"},
            {"name": "copy", "mode": "incremental", "cursor": "id"},
        )
        place.loaded(*streams)
        server.ask(
            "INSERT INTO shop.orders VALUES (2001, 5, '2026-06-01', NULL, 1, NULL)",
            "INSERT INTO shop.copy SELECT * FROM shop.orders WHERE id = 2001",
            "UPDATE shop.orders SET amount = 7, updated_at = '2026-06-02' WHERE id <= 10",
        )
        done = place.loaded(*streams)
        assert [done["orders"]["rows"], done["copy"]["rows"]] == [11, 1]
        for table in ("orders", "copy"):
            assert counts(place, table) == server.ask(f"SELECT count(*), sum(amount) FROM shop.{table}")[0]
        place.config = {**config, "password": "wrong-password"}
        assert place.test().kind == "auth"
        place.config = {**config, "database": "mysql"}
        assert place.test().kind == "permission"
    finally:
        server.close()
