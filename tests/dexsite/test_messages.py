"""What the site says after something was done."""

import pytest

from flows.models import Environment, Flow, Project
from tests.helpers.pages import Person
from tests.helpers.paths import SAMPLE

pytestmark = pytest.mark.django_db


def test_a_message_writes_a_name_as_its_owner_wrote_it():
    place = Environment.objects.create(project=Project.objects.create(name="shop", path=str(SAMPLE)), name="main")
    flow = Flow.objects.create(name="dbt nightly", environment=place, cron="0 2 * * *")
    ada = Person("ada", "everything")
    page = ada.open(f"/flows/{flow.pk}/")
    (form,) = [form for form in page.forms if form.action.endswith("/pause/")]
    (said,) = ada.post(page, form, {"paused": "1"}).messages
    assert said.startswith("dbt nightly is paused")
