"""Which entry of the menu a page belongs to."""

import pytest
from django.test import RequestFactory

from dexsite.navigation import Navigation
from tests.helpers.pages import Person

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("path", "title", "current"),
    [
        ("/runs/", "Runs", "page"),
        ("/runs/7/", "Runs", "true"),
        ("/admin/flows/project/3/change/", "Projects", "true"),
        ("/projects/3/dbt/", "Projects", "true"),
        ("/projects/3/pushes/", "Projects", "true"),
    ],
)
def test_a_page_marks_the_entry_that_it_belongs_to(path, title, current):
    request = RequestFactory().get(path)
    request.user = Person("ada", "everything").user
    marked = [(each.title, each.current) for part in Navigation(request).menu for each in part.entries if each.current]
    assert marked == [(title, current)]
