"""Runs in a process of its own: `dbt deps` if wanted, then `dbt parse`; the result goes to a file."""

import json
import sys
from pathlib import Path
from typing import Any

from dbt.cli.main import dbtRunner


def main(order: dict[str, Any]) -> None:
    """Carry out the order and write `{"error": text or null, "warnings": [...]}` to its result file."""
    warnings: list[str] = []

    def listen(event: Any) -> None:
        if event.info.level == "warn" and event.info.msg not in warnings:
            warnings.append(event.info.msg)

    error = None
    for command in order["commands"]:
        answer = dbtRunner(callbacks=[listen]).invoke(command)
        if not answer.success:
            error = str(answer.exception or f"dbt {command[0]} failed")
            break
    Path(order["result"]).write_text(json.dumps({"error": error, "warnings": warnings}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
