"""An id that no column can hold is one that does not exist, at every address and in every form."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import Resolver404, resolve

from flows.infra.ids import LARGEST, id_of
from tests.dexsite.test_access import addresses

#: Placeholders that are no ids, and what stands for them.
OTHERS = {"<slug:connector>": "files", "<slug:what>": "test", "<slug:kind>": "script"}


def with_ids():
    """The patterns of all addresses with ids."""
    return [pattern for pattern, _ in addresses() if re.search(r"<id:|<path:object_id>|<id>", pattern)]


@pytest.fixture
def root():
    user = get_user_model().objects.create_superuser("root", "root@example.org", "x" * 12)
    client = Client()
    client.force_login(user)
    return client


def path_of(pattern, number):
    for placeholder, value in OTHERS.items():
        pattern = pattern.replace(placeholder, value)
    return "/" + re.sub(r"<(id:\w+|path:object_id|id)>", str(number), pattern)


def is_refused_otherwise(pattern, answer):
    """Django's admin leads away from a row that is not there, and refuses what nobody may do; the API wants a token."""
    if pattern.startswith("admin/"):
        return answer.status_code == 403 or answer.redirect_chain[-1:] == [("/admin/", 302)]
    return pattern.startswith("api/") and answer.status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("number", [2**63, 2**64, 10**60])
def test_an_address_with_an_id_beyond_every_column_is_not_found(root, number):
    found = []
    for pattern in with_ids():
        for send in (root.get, root.post):
            answer = send(path_of(pattern, number), follow=pattern.startswith("admin/"))
            if answer.status_code != 404 and not is_refused_otherwise(pattern, answer):
                found.append((pattern, send.__name__, answer.status_code))
    assert found == [] and len(with_ids()) > 60


@pytest.mark.django_db
def test_the_largest_id_is_asked_for_like_any_other(root):
    answers = [
        (path, send(path)) for path in (path_of(p, LARGEST) for p in with_ids()) for send in (root.get, root.post)
    ]
    assert [(path, answer.status_code) for path, answer in answers if answer.status_code >= 500] == []


def test_no_address_takes_numbers_that_are_not_checked():
    assert [pattern for pattern, _ in addresses() if "<int:" in pattern and not pattern.startswith("admin/")] == []


def test_an_id_is_read_from_digits_alone():
    assert [id_of(text) for text in ("0", "12", str(LARGEST))] == [0, 12, LARGEST]
    assert {
        id_of(text) for text in ("", "-1", "+1", "1_0", " 1", "1.0", "\u00b2", "\u0663", str(LARGEST + 1), "9" * 5000)
    } == {None}


def test_an_address_is_resolved_with_the_number():
    assert resolve(f"/runs/{LARGEST}/").kwargs == {"run_id": LARGEST}
    with pytest.raises(Resolver404):
        resolve(f"/runs/{LARGEST + 1}/")
