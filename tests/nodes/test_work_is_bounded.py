"""History and import stay quick, whatever somebody wrote into a flow."""

import time

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given
from hypothesis import strategies as st

from flows.models import Flow
from nodes import services
from nodes.document import DocumentError, from_yaml
from nodes.document.lines import compare, with_context
from nodes.models import Node
from nodes.services import save_node
from runs.pages.run_detail.comparing import sql_difference
from tests.helpers.pages import Person, sample_flow

LINES = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=15)


@given(LINES, LINES)
def test_a_comparison_holds_both_texts_whole_and_in_order(before, after):
    made = compare(before, after)
    assert [line for sign, line in made if sign != "+"] == before
    assert [line for sign, line in made if sign != "-"] == after
    same, best = sum(sign == " " for sign, _ in made), _longest(before, after)
    assert same == best


def _longest(before, after):
    """The length of the longest common subsequence, by the book."""
    row = [0] * (len(after) + 1)
    for one in before:
        earlier, row = row, [0]
        for number, other in enumerate(after):
            row.append(earlier[number] + 1 if one == other else max(earlier[number + 1], row[number]))
    return row[-1]


@given(LINES, LINES)
def test_a_comparison_shows_every_change_and_three_lines_around(before, after):
    whole = compare(before, after)
    shown = [line for line in with_context(whole) if line is not None]
    assert [line for line in shown if line[0] != " "] == [line for line in whole if line[0] != " "]
    assert len(shown) <= len(whole)


@pytest.mark.parametrize("lines", [600, 5000])
def test_texts_that_resemble_each_other_in_every_line_are_compared_at_once(lines):
    before = [f"select {number} from a_table_with_a_name where x = 1" for number in range(lines)]
    after = [line.replace("= 1", "= 2") for line in before]
    began = time.process_time()
    made = compare(before, after)
    assert time.process_time() - began < 3
    assert len(made) == 2 * lines
    assert len(sql_difference("\n".join(before[:3000]), "\n".join(after[:3000]))) > 0


@pytest.fixture
def ada(db):
    return Person("ada", "everything")


def quick(ada, address, seconds=5.0):
    began = time.process_time()
    page = ada.open(address)
    assert page.status == 200 and time.process_time() - began < seconds
    return page


def test_the_history_of_a_long_description_opens_at_once(ada):
    flow = sample_flow("Daily shop")
    for ending in ("one", "two"):
        flow.description = "\n".join(f"line {number} says {ending}" for number in range(600))[:10_000]
        services.save_flow(flow)
    page = quick(ada, f"/flows/{flow.pk}/history/{flow.version}/")
    assert "line 1 says one" in page.html and "line 1 says two" in page.html
    quick(ada, f"/flows/{flow.pk}/history/")


def test_the_history_of_a_hundred_changed_nodes_opens_at_once(ada):
    flow = sample_flow("Daily shop")
    save_node(Node(flow=flow, name="Staging", include=["tag:staging"]))
    change = flow.changes.first()
    node = change.document["nodes"][0]
    for version, tag in ((change.version + 1, "a"), (change.version + 2, "b")):
        document = {
            **change.document,
            "nodes": [
                {**node, "id": number, "name": f"Node {number}", "include": [f"tag:{tag}{number}", f"tag:{tag}x"]}
                for number in range(100)
            ],
        }
        flow.changes.create(version=version, actor="ada", flow_name=flow.name, said="", details=[], document=document)
    quick(ada, f"/flows/{flow.pk}/history/{change.version + 2}/")


def test_a_file_of_eighty_mebibytes_is_refused_at_its_field_and_not_sent_back(ada):
    began = time.process_time()
    page = ada.client.get("/flows/import/")
    token = page.context["csrf_token"]
    sent = SimpleUploadedFile("flow.yml", b"x: 1\n" * (16 * 1024 * 1024))
    answer = ada.client.post("/flows/import/", {"csrfmiddlewaretoken": str(token), "file": sent, "text": "dex: 1"})
    text = answer.content.decode()
    assert answer.status_code == 422 and len(text) < 100_000 and time.process_time() - began < 20
    assert "A flow has at most 1,024 KiB of YAML; this has 81,920 KiB." in text
    assert 'id="import-file-error"' in text and "dex: 1" in text and not Flow.objects.exists()


def test_a_text_that_is_too_long_for_a_flow_is_refused_with_that_reason(ada):
    page = ada.open("/flows/import/")
    answer = ada.post(page, page.forms[-1], {"text": "# " + "x" * (1024 * 1024)})
    assert answer.status == 422 and "A flow has at most 1,024 KiB of YAML" in answer.html


@pytest.mark.parametrize(
    "text",
    [
        "dex: 1\nname: x\nenvironment: y\n" + "".join(f"key{number}: 1\n" for number in range(60_000)),
        "dex: 1\nname: x\nenvironment: y\nnodes:\n  - name: a\n    runs_after: ["
        + ", ".join(f"node{number}" for number in range(60_000))
        + "]",
    ],
    ids=["keys", "links"],
)
def test_a_file_with_sixty_thousand_mistakes_is_read_and_tells_some_of_them(text):
    began = time.process_time()
    with pytest.raises(DocumentError) as refused:
        from_yaml(text)
    assert len(refused.value.problems) < 200
    assert time.process_time() - began < 60  # most of it is YAML itself
