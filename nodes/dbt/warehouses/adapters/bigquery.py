"""Google BigQuery, with a service account or with the account of the machine."""

import json
from typing import Any, Literal

from nodes.dbt.warehouses.base import Config, Given, Loads, Misfit, Problem, Warehouse, setting

_SECRETS = ("private_key", "private_key_id")
_NEEDED = ("type", "project_id", "private_key", "client_email", "token_uri")


class Settings(Config):
    """The project and dataset, and whose permissions are used."""

    auth: Literal["service_account", "adc"] = setting(
        "service_account",
        title="Log in with",
        words={"service_account": "Service account", "adc": "Default credentials of the machine"},
        help="Default credentials are those that Google's metadata server gives to the machines of the workers",
    )
    keyfile_json: str | None = setting(
        None,
        title="Key of the service account",
        help="Names a secret that holds the whole JSON file",
        secret=True,
        needed=True,
        when={"auth": ["service_account"]},
        example="{{ BIGQUERY_KEY }}",
    )
    project: str = setting(title="Google Cloud project", help="Where models are built", example="my-project")
    dataset: str = setting("analytics", title="Dataset")
    location: str | None = setting(None, title="Location", example="EU")
    execution_project: str | None = setting(
        None, title="Billing project", help="Empty: the project above", advanced=True
    )
    priority: Literal["interactive", "batch"] = setting("interactive", title="Priority", advanced=True)
    maximum_bytes_billed: int | None = setting(
        None, title="Maximum bytes billed", help="Of one query; one that needs more fails", advanced=True, ge=0
    )
    impersonate_service_account: str | None = setting(None, title="Impersonate", advanced=True)
    job_retries: int | None = setting(None, title="Retries", advanced=True, ge=0, le=100)
    job_execution_timeout_seconds: int | None = setting(
        None, title="Time limit of a query", help="In seconds", advanced=True, ge=1
    )


class BigQuery(Warehouse):
    """Google BigQuery."""

    type = "bigquery"
    title = "BigQuery"
    package = "dbt-bigquery"
    Config = Settings
    cancels = "adapter"
    loads = Loads(False, "bigquery")
    tested = "no server: the adapter reads the profile and parses"
    problems = (
        Problem(
            r"invalid_grant|Invalid JWT|account not found",
            "auth",
            "Google does not accept the key of the service account: it may have been deleted.",
        ),
        Problem(
            r"Could not deserialize key data|No key could be detected|Unable to load PEM",
            "auth",
            "The private key in the JSON of the service account cannot be read.",
        ),
        Problem(
            r"default credentials were not found|metadata",
            "auth",
            "This machine has no default credentials of Google. Use a service account.",
        ),
        Problem(
            r"bigquery\.jobs\.create|does not have bigquery\.\w+\.\w+ permission|Access Denied",
            "permission",
            "The account lacks a permission in the project. It needs the roles BigQuery Job User and BigQuery Data "
            "Editor.",
        ),
        Problem(
            r"has not enabled BigQuery|API has not been used|it is disabled",
            "permission",
            "The BigQuery API is not enabled in the project {project}.",
        ),
        Problem(
            r"project .{0,80}(?:not found|does not exist)|Invalid project ID|ProjectId",
            "account",
            "There is no project {project}, or the account may not see it.",
        ),
        Problem(r"Cannot parse .{0,20}location|location", "setting", "BigQuery has no location {location}."),
    )

    def output(self, given: Given) -> dict[str, Any]:
        """The key as its parts: the adapter wants a mapping, and only its secret parts go through the environment."""
        output = given.all("auth", "keyfile_json")
        if given.values["auth"] == "adc":
            return {**output, "method": "oauth"}
        key = _key(str(given.values["keyfile_json"]))
        hidden = {name: given.hide(f"keyfile_{name}", str(key[name])) for name in _SECRETS if name in key}
        return {**output, "method": "service-account-json", "keyfile_json": {**key, **hidden}}


def _key(text: str) -> dict[str, Any]:
    """The parts of a service account's file. Raises Misfit."""
    try:
        key = json.loads(text)
    except ValueError:
        raise Misfit("keyfile_json", "The secret must hold the whole JSON file of the service account.") from None
    missing = [name for name in _NEEDED if not isinstance(key, dict) or not key.get(name)]
    if missing:
        raise Misfit("keyfile_json", f"The JSON of the service account has no {missing[0]}.")
    return dict(key)
