"""Connects to a warehouse as a profile says, as `dbt debug --connection` does, and asks some questions."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from dbt.adapters.factory import get_adapter, register_adapter
from dbt.cli.flags import Flags
from dbt.cli.types import Command
from dbt.config.runtime import load_profile
from dbt.flags import set_flags
from dbt.mp_context import get_mp_context
from dbt_common.context import get_invocation_context, set_invocation_context


def ask(place: Mapping[str, Any], questions: Sequence[str], answers: list[Any]) -> None:
    """Connect, and append to `answers` for each question its {"value"}, or the {"error"} that it met.

    In: `place`, {"project_dir", "profiles_dir", "profile", "target", "vars"}; `questions`, SQL that gives one value.
    Raises whatever the adapter raises while it connects.
    """
    set_invocation_context(dict(os.environ))
    options = {
        "project_dir": place["project_dir"], "profiles_dir": place["profiles_dir"], "log_level": "none",
        "log_level_file": "none", "send_anonymous_usage_stats": False, "version_check": False,
    }  # fmt: skip
    set_flags(Flags.from_dict(Command.DEBUG, options))
    profile = load_profile(place["project_dir"], place["vars"], place["profile"], place["target"], 1)
    get_invocation_context().uses_adapter(profile.credentials.type)
    register_adapter(profile, get_mp_context())
    adapter = get_adapter(profile)
    with adapter.connection_named("debug"):
        adapter.debug_query()
        for sql in questions:
            try:
                _, table = adapter.execute(sql, fetch=True)
                answers.append({"value": table.rows[0][0] if len(table.rows) else None})
            except Exception as error:  # what is not answered says nothing about the rest
                answers.append({"error": str(error).strip() or type(error).__name__})
