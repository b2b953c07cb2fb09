"""Variables reach models as dbt vars; secrets reach no log, whoever prints them."""

import pytest

from flows.models import Environment, Revision
from flows.projects import credentials
from flows.variables.values import save_variable
from nodes.connections.services import save_connection
from nodes.models import Connection
from nodes.services.sync import sync, vars_of
from runs.logs import store
from runs.logs.masking import redactor_of, redactor_of_environment
from runs.planning.reruns import rerun
from tests.helpers.engines import finished, make_flow, run_to_end, write_project
from tests.runs.kinds.test_dbt_models import log_of

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "S3CR3T-9f1c62e0/4b+canary"
DAY = {"a": 'select \'{{ var("REGION", "none") }} {{ var("day", "any") }}\' as found'}


def keep(flow, name, value, *, of=None, secret=False):
    row = flow.environment.project.variables.filter(name=name, environment=of).first()
    return save_variable(flow.environment.project, of, name, value, secret=secret, row=row)


def compiled(run):
    assert run.state == "succeeded", run.error
    return store.read(run.task_runs.get().result["compiled"]).text


def test_variables_reach_models_and_those_of_the_environment_and_of_the_run_win(engine, tmp_path):
    flow = make_flow(write_project(tmp_path / "p", DAY), parameters=[{"name": "day"}])
    assert "none any" in compiled(run_to_end(flow))
    keep(flow, "REGION", "eu")
    first = run_to_end(flow)
    assert "eu any" in compiled(first)
    environment = Environment.objects.get(pk=flow.environment_id)
    assert environment.current_revision == first.revision  # previews show what runs
    assert sync(environment) == first.revision and Revision.objects.count() == 2
    keep(flow, "REGION", "us", of=flow.environment)
    with_day = run_to_end(flow, parameters={"day": "monday"})
    assert "us monday" in compiled(with_day)
    keep(flow, "REGION", "asia", of=flow.environment)
    # The same revision is the same variables, whatever they are now.
    assert "us monday" in compiled(finished(rerun(with_day, mode="all", actor="test")))
    assert "us sunday" in compiled(finished(rerun(with_day, mode="all", parameters={"day": "sunday"}, actor="test")))
    assert "asia any" in compiled(run_to_end(flow))


def test_a_secret_reaches_no_log_and_no_revision(engine, tmp_path):
    said = f"{{% do log('the token {CANARY} is here', info=true) %}} select '{{{{ var('TOKEN', 'unset') }}}}' as found"
    flow = make_flow(write_project(tmp_path / "p", {"a": said}))
    keep(flow, "TOKEN", CANARY, of=flow.environment, secret=True)
    run = run_to_end(flow)
    assert "unset" in compiled(run)
    assert "the token [MASKED] is here" in log_of(run.task_runs.get())
    assert not [path for path in store.root().rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert not [row for row in Revision.objects.all() if CANARY in str(row.variables)]
    assert redactor_of_environment(flow.environment).whole(f"token {CANARY}") == "token [MASKED]"


def test_what_is_said_of_a_flow_or_of_a_run_hides_the_same_secrets(engine, tmp_path, settings):
    flow = make_flow(write_project(tmp_path / "p", {"a": "select 1 as found"}))
    run = run_to_end(flow)
    project = flow.environment.project
    keep(flow, "TOKEN", "a-secret-of-the-environment", of=flow.environment, secret=True)
    credentials.keep(project, "token", "a-token-of-the-repository")
    row = Connection(project=project, name="PG", connector="sql_database", dataset="raw")
    typed = {"system": "postgresql", "host": "db.example", "database": "shop", "user": "dex"}
    save_connection(row, {**typed, "password": "a-password-of-a-connection"})
    settings.SECRET_ENVIRONMENT = {"DBT_ENV_SECRET_KEY": "a-key-of-the-process"}
    words = "a-secret-of-the-environment a-token-of-the-repository a-password-of-a-connection a-key-of-the-process"
    for redactor in (redactor_of(run.pk), redactor_of_environment(Environment.objects.get(pk=flow.environment_id))):
        assert redactor.whole(words) == " ".join(["[MASKED]"] * 4)


def test_a_secret_that_cannot_be_read_keeps_no_run_from_its_log(engine, tmp_path):
    flow = make_flow(write_project(tmp_path / "p", {"a": "select 1 as found"}))
    row = keep(flow, "TOKEN", CANARY, secret=True)
    type(row).objects.filter(pk=row.pk).update(token="gAAAA")
    assert run_to_end(flow).state == "succeeded"


def test_a_variable_is_a_var_of_dbt_project_yml_in_whatever_case(tmp_path):
    yml = "name: small\nprofile: small\nversion: '1.0'\nvars: {region: nowhere, small: {size: 1}, other: x}\n"
    folder = write_project(tmp_path / "small", {}, dbt_project=yml)
    values = {"REGION": "eu", "SIZE": "9", "UNKNOWN": "u"}
    assert vars_of(folder, values) == {**values, "region": "eu", "size": "9"}
    (folder / "dbt_project.yml").write_text("name: [broken")
    assert vars_of(folder, values) == values
