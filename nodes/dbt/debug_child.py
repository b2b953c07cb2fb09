"""Runs in a process of its own, on the dbt of a project: connects as a profile says, and asks some questions.

The order is a file of JSON; the answer goes to another: {"error", "answers"}. No error means that all of it went well.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nodes.dbt.internals.connecting import ask


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came of: an adapter may fail once more while it closes what it could not open."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        current = current.__cause__ or current.__context__


def said(error: BaseException) -> str:
    """What an error says; its type where it says nothing."""
    return str(error).strip() or type(error).__name__


def main(order: dict[str, Any]) -> None:
    """Carry out the order, and write to its result file how far it came."""
    answer: dict[str, Any] = {"error": "", "answers": []}
    try:
        ask(order, order["questions"], answer["answers"])
    except BaseException as error:
        answer["error"] = "\n".join(dict.fromkeys(said(each) for each in chain(error)))
    result = Path(order["result"])
    fresh = result.with_suffix(".new")
    fresh.write_text(json.dumps(answer, default=str), encoding="utf-8", errors="backslashreplace")
    fresh.replace(result)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of adapters must not keep the process


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
