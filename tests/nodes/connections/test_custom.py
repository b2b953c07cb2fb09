"""A source of the project's own, and a child process that does not end as it should."""

from tests.nodes.connections.loads import Place

SOURCE = """
import dlt
from .rows import rows

def test(config):
    return f"hello {config['who']}"

@dlt.source
def source(config):
    @dlt.resource(primary_key="id", columns={"id": {"data_type": "bigint"}})
    def people():
        print("a word on standard output")
        yield from rows(config["count"])

    @dlt.resource
    def broken():
        raise RuntimeError(f"no way with {config['key']}")
        yield

    @dlt.resource
    def deadly():
        import os
        os.kill(os.getpid(), 9)
        yield

    return people, broken, deadly
"""


def test_a_source_in_the_projects_repository(tmp_path):
    config = {"package": "crm", "values": {"who": "you", "count": 3}, "secrets": {"key": "k3y-of-the-crm"}}
    place = Place(tmp_path, "custom", config)
    package = place.project / "dex-connectors" / "crm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SOURCE)
    (package / "rows.py").write_text(
        "def rows(n):\n    for i in range(n):\n        yield {'id': i, 'likes': ['tea']}\n"
    )
    said = place.test()
    assert said.ok and [event["message"] for event in said.events] == ["hello you"]
    found = place.discover()
    assert (list(found), found["people"]["primary_key"]) == (["people", "broken", "deadly"], ["id"])
    merge = {"name": "people", "mode": "merge", "primary_key": ["id"]}
    outcome = place.load(merge, "broken", "nobody")
    assert [event.get("message", "") for event in outcome.done] == [
        "",
        "RuntimeError: no way with [MASKED]",
        "The source crm has no stream nobody. It has: people, broken, deadly.",
    ]
    assert b"a word on standard output" in place.log
    assert b"k3y-of-the-crm" not in place.log
    place.config["values"]["count"] = 5
    place.loaded(merge)
    assert place.one("SELECT count(*), (SELECT count(*) FROM shop.people__likes) FROM shop.people") == (5, 5)

    died = place.load("deadly")
    assert (died.state, died.ok) == ("died", False)
    assert "ended unexpectedly" in died.message
    assert not list((tmp_path / "home").glob("ingestion-*")), "what a killed one downloaded is still there"

    place.config["package"] = "../crm"
    assert place.test().kind == "config"
    (place.project / "dex-connectors" / "outside").symlink_to("/etc")
    place.config["package"] = "outside"
    assert place.test().kind in ("permission", "config")


def test_an_order_that_makes_no_sense(tmp_path):
    place = Place(tmp_path, "nothing", {})
    assert place.load("x").message == "There is no connector nothing."
    place = Place(tmp_path, "files", {"folder": "x", "place": "local", "secret_word": "hunter2-hunter2"})
    assert "hunter2" not in str(place.load("x")) + place.log.decode()
