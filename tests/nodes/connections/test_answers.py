"""What a source answered belongs to the settings that were asked with, and to nothing else."""

import sqlite3
from contextlib import closing

import pytest

from flows.models import Environment, Project
from flows.variables.values import save_variable
from nodes.connections.services import request_check, save_connection
from nodes.models import Connection, ConnectionCheck
from runs.operations.connection_checks import make
from tests.helpers.pages import Person
from tests.helpers.paths import SAMPLE

pytestmark = pytest.mark.django_db(transaction=True)
STALE = "Not tested since the last change"
WRONG = "Connection failed"


@pytest.fixture
def environment(settings, tmp_path):
    settings.CONNECT_FILES = [str(tmp_path)]
    project = Project.objects.create(name="shop", path=str(SAMPLE))
    return Environment.objects.create(project=project, name="main")


def make_books(path):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table books (id integer primary key)")
    return path


def connection(environment, path):
    row = Connection(project=environment.project, name="Books", connector="sql_database", dataset="books")
    return save_connection(row, {"system": "sqlite", "path": str(path)})


def check_of(row, environment):
    check = request_check(row, environment, "test")
    make(check.pk)
    return ConnectionCheck.objects.get(pk=check.pk)


def page(ada, row, **query):
    return ada.open(f"/connections/{row.pk}/" + "".join(f"?{name}={value}" for name, value in query.items())).html


def test_an_old_failure_is_not_shown_of_a_connection_that_was_corrected(environment, tmp_path):
    ada, right = Person("ada", "everything"), make_books(tmp_path / "books.sqlite")
    row = connection(environment, tmp_path / "gone.sqlite")
    assert not check_of(row, environment).ok and WRONG in page(ada, row) and STALE not in page(ada, row)
    save_connection(row, {"system": "sqlite", "path": str(right)})
    assert STALE in page(ada, row) and WRONG not in page(ada, row)
    assert check_of(row, environment).ok
    assert STALE not in page(ada, row) and WRONG not in page(ada, row)
    row.name = "Renamed"
    save_connection(row, {"system": "sqlite", "path": str(right)})  # which asks the source nothing new
    assert STALE not in page(ada, row)


def test_a_cached_answer_belongs_to_its_environment_and_variables(environment, tmp_path):
    ada = Person("ada", "everything")
    make_books(tmp_path / "books.sqlite")
    save_variable(environment.project, None, "PLACE", str(tmp_path / "gone.sqlite"), secret=False)
    row = connection(environment, "{{ PLACE }}")
    assert not check_of(row, environment).ok and WRONG in page(ada, row)
    other = Environment.objects.create(project=environment.project, name="other")
    assert WRONG not in page(ada, row, environment=other.pk)
    place = environment.project.variables.get(name="PLACE")
    save_variable(environment.project, None, "PLACE", str(tmp_path / "books.sqlite"), secret=False, row=place)
    assert STALE in page(ada, row) and WRONG not in page(ada, row)


def test_the_error_of_the_last_sync_is_cleared_when_the_settings_change(environment):
    ada = Person("ada", "everything")
    Environment.objects.update(sync_error="There is no target dev.", target="dev")
    address = f"/admin/flows/environment/{environment.pk}/change/"
    assert "There is no target dev." in ada.open(address).html
    ada.fill(address, name="renamed")
    assert Environment.objects.get().sync_error
    ada.fill(address, target="prod")
    assert Environment.objects.get().sync_error == ""


@pytest.mark.parametrize("what", ["test", "discover"])
def test_a_question_leaves_no_working_folder_behind(environment, tmp_path, settings, what):
    settings.DEX_HOME = tmp_path / "home"
    make_books(tmp_path / "books.sqlite")
    for path in (tmp_path / "books.sqlite", tmp_path / "gone.sqlite"):
        row = connection(environment, path)
        make(request_check(row, environment, what).pk)
        row.delete()
    assert not list((settings.DEX_HOME / "work").iterdir())


def test_answers_of_a_source_hide_the_secrets_of_the_environment(environment):
    save_variable(environment.project, environment, "PLACE", "a-secret-place", secret=True)
    said = check_of(connection(environment, "{{ PLACE }}/books.db"), environment).message
    assert "a-secret-place" not in said and "[MASKED]" in said
