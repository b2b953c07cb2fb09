"""Runs on the dbt under test: prints what the adapter's own credentials hold after dbt has read a profile."""

import json
import sys

from dbt.cli.flags import Flags
from dbt.cli.types import Command
from dbt.config.runtime import load_profile
from dbt.flags import set_flags
from dbt_common.context import set_invocation_context

if __name__ == "__main__":
    import os

    folder = sys.argv[1]
    set_invocation_context(dict(os.environ))
    set_flags(Flags.from_dict(Command.DEBUG, {"project_dir": folder, "profiles_dir": folder, "log_level": "none"}))
    credentials = load_profile(folder, {}, None, None, 1).credentials
    if credentials.type == "snowflake":
        credentials.auth_args()  # reads the private key
    if credentials.type == "bigquery" and credentials.keyfile_json:
        from dbt.adapters.bigquery.credentials import create_google_credentials

        assert create_google_credentials(credentials).signer_email.endswith("gserviceaccount.com")
    found = {name: value for name, value in vars(credentials).items() if not name.startswith("_")}
    print(json.dumps({"class": type(credentials).__name__, **found}, default=str))
