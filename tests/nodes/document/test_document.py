"""Flows as code: what goes out comes back, reads well in a diff, and every mistake is named."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from flows.models import Flow
from nodes.document import DocumentError, differences, document_of, exported, from_yaml, to_yaml
from nodes.models import Change, Connection, Link, Node
from nodes.services import duplicate_flow, import_flow, link, preview_import, save_node
from tests.helpers.pages import sample_flow

pytestmark = pytest.mark.django_db

YAML = """\
dex: 1
name: Finance
environment: shop / main
tags:
  - finance
schedule:
  cron: 0 2 * * *
  time_zone: Europe/Berlin
nodes:
  - name: Staging
    type: transformation
    include:
      - tag:staging
    at: [0, 0]
  - name: Marts
    type: transformation
    include:
      - tag:mart
    exclude:
      - tag:revenue
    retries: 2
    runs_after:
      - Staging
    at: [300, 80]
"""


@pytest.fixture
def flow():
    return sample_flow("Daily shop")


def test_an_imported_flow_is_exported_as_the_very_same_text(flow):
    made = import_flow(from_yaml(YAML))
    assert to_yaml(document_of(made)) == YAML
    marts = made.nodes.get(name="Marts")
    assert (marts.include, marts.exclude, marts.retries) == (["tag:mart"], ["tag:revenue"], 2)
    assert marts.links_up.get().up.name == "Staging" and marts.tasks.count() >= 2
    assert (made.cron, made.time_zone, made.tags) == ("0 2 * * *", "Europe/Berlin", ["finance"])


def test_importing_twice_changes_nothing_and_leaves_no_trace(flow):
    made = import_flow(from_yaml(YAML))
    ids = list(made.nodes.values_list("pk", flat=True))
    again = import_flow(from_yaml(YAML))
    assert again.pk == made.pk and list(again.nodes.values_list("pk", flat=True)) == ids
    assert again.changes.count() == 1


def test_an_import_says_what_it_will_change_before_it_does(flow):
    import_flow(from_yaml(YAML))
    changed = YAML.replace("tag:revenue", "tag:orders").replace("retries: 2", "retries: 3").replace("0 2", "0 4")
    found, lines = preview_import(from_yaml(changed.replace("    runs_after:\n      - Staging\n", "")))
    assert found.name == "Finance" and lines == [
        "schedule: 0 2 * * * → 0 4 * * *",
        "Marts: exclude: tag:revenue → tag:orders",
        "Marts: retries: 2 → 3",
        "removed the link from Staging to Marts",
    ]
    assert Flow.objects.get(name="Finance").cron == "0 2 * * *"


def test_scripts_and_connections_are_exported_too(flow):
    Connection.objects.create(
        project=flow.environment.project, name="shop", dataset="payment_provider", streams=["raw_payments"]
    )
    Node.objects.create(flow=flow, name="Load", kind="connection", connection=Connection.objects.get())
    arguments = [
        {"key": "day", "value": "a: b # c"},
        {"key": "text", "value": "two\nlines"},
        {"key": "n", "value": "1"},
    ]
    Node.objects.create(flow=flow, name="Tell", kind="script", package="tell", arguments=arguments)
    text = to_yaml(document_of(flow))
    back = from_yaml(text)
    assert back["nodes"][0]["connection"] == "shop" and back["nodes"][1]["arguments"] == arguments
    assert to_yaml({**back, "nodes": [{**node, "at": node["at"] or [0, 0]} for node in back["nodes"]]}) == text


def test_settings_with_their_default_are_left_out(flow):
    Node.objects.create(flow=flow, name="All")
    assert exported(document_of(flow)) == {
        "dex": 1,
        "name": "Daily shop",
        "environment": "shop / main",
        "nodes": [{"name": "All", "type": "transformation", "at": [0, 0]}],
    }


def test_two_nodes_may_swap_their_names(flow):
    made = import_flow(from_yaml(YAML))
    document = document_of(made)
    for node in document["nodes"]:
        node["name"] = {"Staging": "Marts", "Marts": "Staging"}[node["name"]]
        node["runs_after"] = ["Marts"] if node["runs_after"] else []
    old = {node.name: node.pk for node in made.nodes.all()}
    import_flow(document)
    assert {node.name: node.pk for node in made.nodes.all()} == {"Marts": old["Staging"], "Staging": old["Marts"]}


def test_nodes_without_a_place_are_laid_out(flow):
    made = import_flow(from_yaml(YAML.replace("    at: [0, 0]\n", "").replace("    at: [300, 80]\n", "")))
    staging, marts = made.nodes.order_by("position")
    assert staging.x < marts.x


def test_a_copy_has_everything_but_the_name_and_is_paused(flow):
    copy = duplicate_flow(import_flow(from_yaml(YAML)))
    assert (copy.name, copy.paused, copy.nodes.count(), copy.links.count()) == ("Finance copy", True, 2, 1)
    assert duplicate_flow(Flow.objects.get(name="Finance")).name == "Finance copy 2"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("dex: 1", "dex: 2", "dex: must be 1"),
        ("dex: 1", "", "dex: must be 1"),
        ("name: Finance", "name: [1]", "name: is missing or is not text"),
        ("name: Finance", "nam: Finance", "Did you mean name"),
        ("environment: shop / main", "environment: 7", "environment: is missing"),
        ("schedule:", "schedule: daily\nx:", "schedule: must be a mapping"),
        ("cron: 0 2 * * *", "corn: 0 2 * * *", "Did you mean cron"),
        ("cron: 0 2 * * *", "cron: 7", "cron: must be text"),
        ("type: transformation", "type: model", "type: must be one of"),
        ("type: transformation", "type: [transformation]", "type: must be one of"),
        ("retries: 2", "retries: -2", "retries: must be a whole number"),
        ("retries: 2", "retries: true", "retries: must be a whole number"),
        ("retries: 2", "retires: 2", "Did you mean retries"),
        ("    exclude:\n      - tag:revenue", "    exclude: tag:revenue", "exclude: must be a list of strings"),
        ("    exclude:\n      - tag:revenue", "    exclude:\n      - 7", "exclude: must be a list of strings"),
        ("      - Staging", "      - Stagin", "Did you mean Staging"),
        ("      - Staging", "      - Marts", "cannot run after itself"),
        ("name: Marts", "name: Staging", "this name is used twice"),
        ("at: [0, 0]", "at: [0]", "two numbers"),
        ("at: [0, 0]", "at: [.nan, 0]", "two numbers"),
        ("at: [0, 0]", "at: [1.0e+300, 0]", "two numbers"),
        ("nodes:", "nodes: 7\nx:", "nodes: must be a list"),
        ("dex: 1", "dex: 1\ndex: 1", "the key dex is used twice"),
        ("name: Finance", "name: &a Finance\ndescription: *a", "anchors and aliases"),
        ("name: Finance", "name: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("dex: 1", "dex: [", "Line"),
        ("name: Finance", "name: \x07", "not valid YAML"),
    ],
)
def test_every_mistake_in_a_text_is_named(old, new, said):
    with pytest.raises(DocumentError, match=said.replace("[", r"\[")):
        from_yaml(YAML.replace(old, new, 1))


@pytest.mark.parametrize(
    "text",
    ["", "7", "[]", "null", "a: " * 5000, "[" * 10_000, "x" * 2_000_000, "&a [*a]", "? {a: b}\n: c", "- " * 9000],
)
def test_a_file_that_is_no_flow_is_refused(text):
    with pytest.raises(DocumentError):
        from_yaml(text)


def test_all_mistakes_are_said_at_once():
    with pytest.raises(DocumentError) as told:
        from_yaml(YAML.replace("dex: 1", "dex: 9").replace("retries: 2", "retries: x").replace("- Staging", "- Nope"))
    assert len(told.value.problems) == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("shop / main", "shop / prod", "There are shop / main"),
        ("- tag:staging", "- tag:nothing", "has nothing to do"),
        ("- tag:staging", "- tga:staging", "tga"),
        ("Europe/Berlin", "Mars/Olympus", "Unknown time zone"),
        ("0 2 * * *", "0 99 * * *", "hour"),
        ("name: Finance", f"name: {'x' * 300}", "at most 200"),
        (
            "    at: [0, 0]",
            "    runs_after:\n      - Marts\n    at: [0, 0]",
            "wait for each other",
        ),
    ],
)
def test_an_import_that_is_impossible_is_refused_and_nothing_is_written(flow, old, new, said):
    with pytest.raises(ValidationError, match=said):
        import_flow(from_yaml(YAML.replace(old, new, 1)))
    assert not Flow.objects.filter(name__startswith="F").exists() and Change.objects.count() == 0


def test_differences_name_the_node_and_what_changed(flow):
    up = save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))
    down = save_node(Node(flow=flow, name="Marts", include=["tag:mart"]))
    before = document_of(flow)
    link(up, down)
    up.name = "Stage"
    save_node(up)
    assert [found.text for found in differences(before, document_of(flow))] == [
        "renamed the node Staging to Stage",
        "linked Stage to Marts",
    ]


def test_commands_write_and_read_files(flow, tmp_path, capsys):
    save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))
    file = tmp_path / "flow.yml"
    call_command("export_flow", "Daily shop", output=file)
    call_command("import_flow", str(file))
    assert "no changes" in capsys.readouterr().out
    file.write_text(file.read_text().replace("tag:staging", "tag:mart"))
    with pytest.raises(SystemExit) as ended:
        call_command("import_flow", str(file), check=True)
    assert ended.value.code == 2 and "include: tag:staging → tag:mart" in capsys.readouterr().out
    assert Node.objects.get().include == ["tag:staging"]
    call_command("import_flow", str(file))
    assert Node.objects.get().include == ["tag:mart"]
    with pytest.raises(CommandError, match="There are: Daily shop"):
        call_command("export_flow", "Weekly")
    file.write_text("dex: [")
    with pytest.raises(CommandError, match="Line"):
        call_command("import_flow", str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_flow", str(tmp_path / "none.yml"))


def test_an_import_into_a_flow_keeps_nodes_that_are_known_by_their_name(flow):
    made = import_flow(from_yaml(YAML))
    staging = made.nodes.get(name="Staging").pk
    import_flow(from_yaml(YAML.replace("- tag:staging", "- tag:staging\n      - raw_orders")))
    assert made.nodes.get(name="Staging").pk == staging and Link.objects.count() == 1
