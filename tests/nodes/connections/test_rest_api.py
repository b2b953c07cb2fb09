"""An API with pages, tokens and limits is loaded whole, asked only for what is new, and its faults are named."""

import pytest

from tests.nodes.connections.api import TOKEN, Api
from tests.nodes.connections.loads import Place

ORDERS = {
    "name": "orders", "path": "orders", "data_selector": "data", "primary_key": ["id"],
    "cursor": "updated_at", "cursor_param": "since",
}  # fmt: skip
PAGED = {"pagination": "page_number", "size_param": "size", "page_size": 40}


@pytest.fixture
def api():
    server = Api()
    yield server
    server.close()


def connection(tmp_path, api, **config):
    config = {"base_url": api.url, "auth": "bearer", "token": TOKEN, "endpoints": [ORDERS], **PAGED, **config}
    return Place(tmp_path, "rest_api", config)


def sums(api):
    return (len(api.orders), sum(row["amount"] for row in api.orders), sum(row["items"][1]["n"] for row in api.orders))


LOADED = """SELECT count(*), sum(amount), (SELECT sum(n) FROM shop.orders__items WHERE sku = 'b') FROM shop.orders"""


def test_every_page_of_a_busy_api_twice_with_changed_data(tmp_path, api):
    api.busy_every = 4
    place = connection(tmp_path, api)
    assert place.test().ok
    found = place.discover()["orders"]
    assert (found["primary_key"], found["cursor_candidates"]) == (["id"], ["updated_at"])

    merge = {"name": "orders", "mode": "merge", "primary_key": ["id"], "cursor": "updated_at"}
    done = place.loaded(merge)["orders"]
    assert place.one(LOADED) == sums(api)
    assert set(done["tables"]) == {"orders", "orders__items"}
    assert b"answered 429; trying again" in place.log

    api.orders[4].update(
        amount=1000, updated_at="2026-03-01T00:00:00Z", items=[{"sku": "a", "n": 0}, {"sku": "b", "n": 9}]
    )
    api.orders.append({**api.orders[0], "id": 251, "updated_at": "2026-03-01T00:00:00Z"})
    asked = len(api.requests)
    done = place.loaded(merge)["orders"]
    assert place.one(LOADED) == sums(api)
    assert done["cursor_before"], done["cursor_after"] == ("2026-01-28T00:00:00Z", "2026-03-01T00:00:00Z")
    assert all("since=2026-01-28" in path for path in api.requests[asked:])
    assert place.one("SELECT count(*) FROM shop.orders__items") == (502,)


def test_full_replace_and_append_by_cursor(tmp_path, api):
    place = connection(tmp_path, api, endpoints=[{**ORDERS, "name": "all"}, {**ORDERS, "name": "new"}])
    streams = ({"name": "all"}, {"name": "new", "mode": "incremental", "cursor": "updated_at", "primary_key": ["id"]})
    place.loaded(*streams)
    del api.orders[:50]
    api.orders.append({"id": 900, "amount": 1, "updated_at": "2026-02-01T00:00:00Z", "items": []})
    place.loaded(*streams)
    assert place.one("SELECT count(*), count(DISTINCT id) FROM shop.all") == (201, 201)
    assert place.one("SELECT count(*) FROM shop.all__items") == (400,)
    # One of those that went has the cursor's last value, and of that the table holds what the source holds.
    assert place.one("SELECT count(*), count(DISTINCT id) FROM shop.new") == (250, 250)


def test_other_ways_to_sign_in(tmp_path, api):
    from nodes.connections.connectors.catalogue import CATALOGUE
    from nodes.fields.form import parse

    oauth = {"auth": "oauth2", "client_id": "me", "client_secret": "right", "token_url": f"{api.url}/token"}
    assert connection(tmp_path, api, **oauth).test().ok
    values, errors = parse(CATALOGUE["rest_api"], {"base_url": "ftp://x", "auth": "api_key", "endpoints": "[]"})
    assert values is None
    assert errors == {
        "base_url": "The URL must begin with https:// or http://.",
        "endpoints": "List should have at least 1 item after validation, not 0.",
    }


FAULTS = {
    "wrong": ("auth", "answered 401: the credentials are wrong or expired."),
    "nowhere": ("config", "answered 404: the path does not exist."),
    "broken": ("http", "answered 500 2 times: the server has a problem."),
    "busy": ("http", "answered 429 2 times: too many requests; try again later."),
    "html": ("http", "answered with a web page (HTML) instead of data. Check the URL."),
    "redirect": ("http", "The API redirects to another host, localhost; dex does not follow it."),
    "elsewhere": ("http", "The API redirects to another host, localhost; dex does not follow it."),
    "growing": ("http", "has more than 20 pages. The pagination may be endless."),
    "endless": ("http", "returns the same data for every page. Check the pagination."),
}


def test_a_fault_of_an_api_is_named_and_none_of_its_rows_are_visible(tmp_path, api):
    connection(tmp_path, api).loaded({"name": "orders"})
    linked = {"pagination": "json_link", "next_path": "next", "most_pages": 20}
    said = {}
    for paths, config in (
        (("wrong",), {"token": "wrong-token"}),
        (("nowhere", "broken", "busy", "html", "redirect"), {"attempts": 2}),
        (("elsewhere", "growing", "endless"), linked),
    ):
        endpoints = [{**ORDERS, "name": path, "path": "orders" if path == "wrong" else path} for path in paths]
        place = connection(tmp_path, api, endpoints=endpoints, **config)
        outcome = place.load(*paths)
        assert outcome.state == "failed"
        said |= {event["stream"]: (event["kind"], event["message"]) for event in outcome.done}
        assert "Traceback" not in place.log.decode()
        assert TOKEN not in place.log.decode() + str(outcome)
    assert {name: kind for name, (kind, _) in said.items()} == {name: kind for name, (kind, _) in FAULTS.items()}
    for name, (_, message) in FAULTS.items():
        assert message in said[name][1]
    assert place.one(LOADED) == sums(api)
    assert [row[0] for row in place.rows("SHOW TABLES FROM shop") if row[0] in FAULTS] == []
