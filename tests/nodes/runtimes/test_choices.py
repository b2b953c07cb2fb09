"""Who chooses a dbt runtime, what is remembered of it, and which builds follow; the command does the same."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command

from flows.access import acting_as
from flows.models import Environment, Project
from nodes.models import DbtRuntime, RuntimeBuild
from nodes.runtimes import choices
from nodes.runtimes.wanted import RuntimeProblem
from tests.helpers.pages import Person
from tests.helpers.runtimes import DBT_1_12, share_downloads

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
FOUND = {"type": "duckdb", "require": [], "constraints": [], "problem": ""}


@pytest.fixture
def project(tmp_path):
    return Project.objects.create(name="shop", path=str(tmp_path))


def branch(project, name, *dbt, file="requirements.txt", **more):
    environment = Environment.objects.create(project=project, name=name)
    found = {**FOUND, "file": file if dbt else "", "dbt": list(dbt), **more}
    choices.note_found(environment, found)
    return environment


def test_only_who_may_change_the_project_chooses_and_the_history_has_it(project):
    with acting_as(Person("eve", "flows.view_project").user), pytest.raises(PermissionDenied):
        choices.choose(project, "typed", "\n".join(DBT_1_12))
    with acting_as(Person("ann", "flows.change_project").user):
        (row,) = choices.choose(project, "typed", "\n".join(DBT_1_12))
        assert (row.waits, row.requested_by) == (True, "ann")
        choices.choose(project, "built_in")
    said = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
    assert said == [
        "Changed the dbt runtime to dbt-core~=1.12.0, dbt-duckdb.",
        "Changed the dbt runtime to the built-in dbt.",
    ]
    assert choices.wanted_by(choices.row_of(project)) == []


def test_each_branch_has_the_requirements_of_its_own_file(project):
    main = branch(project, "main", "dbt-core==1.11.12", "dbt-duckdb")
    trial = branch(project, "trial", "dbt-core==1.12.1", "dbt-duckdb")
    branch(project, "same", "dbt-core==1.11.12", "dbt-duckdb")
    assert len(choices.choose(project, "found")) == 2
    row = choices.row_of(project)
    assert choices.wanted_of(row, main.pk).lines == ["1.11"]
    assert choices.wanted_of(row, trial.pk).lines == ["1.12"]
    assert {row.requirements[0] for row in RuntimeBuild.objects.exclude(requested_at=None)} == {
        "dbt-core==1.11.12",
        "dbt-core==1.12.1",
    }
    trial.delete()
    assert len(choices.wanted_by(row)) == 1


def test_a_repository_without_dbt_in_its_requirements_cannot_be_followed(project):
    empty = branch(project, "main")
    with pytest.raises(RuntimeProblem, match=r"Add dbt-requirements\.txt to the repository"):
        choices.choose(project, "found")
    DbtRuntime.objects.update(source="found")  # it had such a file once
    with pytest.raises(RuntimeProblem, match="no requirements file there names a package of dbt"):
        choices.wanted_of(choices.row_of(project), empty.pk)
    odd = branch(project, "odd", problem="requirements.txt: x is not a package")
    with pytest.raises(RuntimeProblem, match="x is not a package"):
        choices.wanted_of(choices.row_of(project), odd.pk)


def test_a_proposal_goes_away_when_its_adapter_is_there(project):
    branch(project, "main", type="snowflake")
    assert choices.proposal_of(choices.row_of(project)).requirements == ("dbt-core~=1.11.0", "dbt-snowflake")
    choices.choose(project, "typed", "dbt-core~=1.10.0\ndbt-snowflake>=1.9")
    assert choices.proposal_of(choices.row_of(project)) is None
    choices.choose(project, "typed", "dbt-core~=1.10.0\ndbt-duckdb")
    assert choices.proposal_of(choices.row_of(project)) is not None


def test_the_command_chooses_builds_and_says_what_came_of_it(project, capsys):
    share_downloads()
    call_command("dbt_runtime", "shop", "--set", *DBT_1_12)
    answer = json.loads(capsys.readouterr().out)
    (build,) = answer["builds"]
    assert answer["source"] == "typed" and build["version"].startswith("1.12.") and build["adapters"] == ["duckdb"]
    with pytest.raises(SystemExit):
        call_command("dbt_runtime", "shop", "--set", "dbt-core~=1.11.0", "dbt-no-such-adapter-of-dex")
    assert "cannot be met together" in json.loads(capsys.readouterr().out)["builds"][0]["problem"]
    with pytest.raises(CommandError, match="The adapter is missing"):
        call_command("dbt_runtime", "shop", "--set", "dbt-core")
    with pytest.raises(CommandError, match="There is no project cellar"):
        call_command("dbt_runtime", "cellar")
    call_command("dbt_runtime", "shop", "--built-in")
    assert json.loads(capsys.readouterr().out) == {"project": "shop", "source": "built_in", "builds": []}
