"""Amazon Athena, with an access key or with the role of the machine."""

from typing import Any, Literal

from pydantic import field_validator

from nodes.dbt.warehouses.base import Config, Given, Loads, Problem, Warehouse, setting

_KEY = {"auth": ["key"]}


class Settings(Config):
    """Where results and tables are kept, and whose permissions are used."""

    region_name: str = setting(title="Region", example="eu-central-1")
    auth: Literal["key", "machine"] = setting(
        "key",
        title="Log in with",
        words={"key": "Access key of AWS", "machine": "Role of the machine"},
        help="The role of the machine is the one that AWS gives to the machines of the workers",
    )
    aws_access_key_id: str | None = setting(None, title="Access key ID", needed=True, when=_KEY)
    aws_secret_access_key: str | None = setting(
        None, title="Secret access key", secret=True, needed=True, when=_KEY, example="{{ AWS_SECRET_ACCESS_KEY }}"
    )
    s3_staging_dir: str = setting(title="Folder for results", help="In S3", example="s3://my-bucket/athena/")
    s3_data_dir: str | None = setting(
        None, title="Folder for tables", help="In S3. Empty: the folder for results", example="s3://my-bucket/tables/"
    )
    database: str = setting("awsdatacatalog", title="Data catalog")
    schema_: str = setting("analytics", title="Schema", alias="schema", help="In lower case")
    work_group: str | None = setting(None, title="Workgroup", example="primary")
    num_retries: int | None = setting(None, title="Retries", advanced=True, ge=0, le=100)
    poll_interval: int | None = setting(None, title="Seconds between questions", advanced=True, ge=1, le=60)

    @field_validator("s3_staging_dir", "s3_data_dir")
    @classmethod
    def _in_s3(cls, value: str | None) -> str | None:
        if value and not value.startswith("s3://"):
            raise ValueError("The folder must begin with s3://.")
        return value


class Athena(Warehouse):
    """Amazon Athena."""

    type = "athena"
    title = "Amazon Athena"
    package = "dbt-athena"
    Config = Settings
    cancels = "adapter"
    loads = Loads(False, "athena")
    tested = "no server: the adapter reads the profile and parses"
    problems = (
        Problem(
            r"UnrecognizedClient|InvalidClientTokenId|SignatureDoesNotMatch|security token.{0,40}invalid",
            "auth",
            "AWS does not accept the access key.",
        ),
        Problem(r"Unable to locate credentials", "auth", "This machine has no role of AWS. Use an access key."),
        Problem(r"WorkGroup.{0,60}not found|workgroup", "warehouse", "There is no workgroup {work_group}."),
        Problem(
            r"output location|verify/create output bucket|NoSuchBucket",
            "permission",
            "Athena cannot write to {s3_staging_dir}: check that the bucket exists and the account may write to it.",
        ),
        Problem(
            r"AccessDenied|not authorized to perform",
            "permission",
            "The account lacks a permission for Athena, Glue or the bucket.",
        ),
        Problem(
            r"Could not connect to the endpoint|Invalid endpoint",
            "host",
            "AWS does not answer in the region {region_name}. Check Region, and that this machine reaches AWS.",
        ),
    )

    def output(self, given: Given) -> dict[str, Any]:
        """Without keys the adapter asks the machine."""
        return given.all("auth")
