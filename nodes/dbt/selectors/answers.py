"""Selections as plain data: what the command prints, and the files it reads. No Django, no disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors.reasons import Reason, explain, obstacles
from nodes.dbt.selectors.select import Selection, select
from nodes.dbt.selectors.state import Comparison


class Case(msgspec.Struct):
    """One question of a `--cases` file."""

    include: list[str] | None = None
    exclude: list[str] | None = None
    resource_types: list[str] | None = None
    indirect_selection: str | None = None


class _Result(msgspec.Struct):
    unique_id: str
    status: str


class _RunResults(msgspec.Struct):
    results: list[_Result]


def answer(selection: Selection) -> dict[str, list[str]]:
    """{"selected": sorted unique ids, "warnings": [...], "errors": [...]}."""
    return {
        "selected": list(selection.ids),
        "warnings": list(selection.warnings),
        "errors": [str(error) for error in selection.errors],
    }


def answer_cases(
    manifest: Manifest,
    data: bytes,
    *,
    project_dir: Path | None = None,
    previous: Comparison | None = None,
    results: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Each question of a cases file with its answer added. Raises ValueError when it is no list of questions."""
    try:
        objects = msgspec.json.decode(data, type=list[dict[str, Any]])
        cases = msgspec.convert(objects, list[Case])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"The cases file must be a JSON list of objects: {error}") from error
    return [
        given
        | answer(
            select(
                manifest,
                case.include,
                case.exclude or (),
                project_dir=project_dir,
                resource_types=case.resource_types,
                indirect_selection=case.indirect_selection or "eager",
                previous=previous,
                results=results,
            )
        )
        for given, case in zip(objects, cases, strict=True)
    ]


def read_results(data: bytes) -> dict[str, str]:
    """unique id -> status, from dbt's run_results.json. Raises ValueError."""
    try:
        file = msgspec.json.decode(data, type=_RunResults)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"This is not a run_results.json written by dbt: {error}") from error
    return {result.unique_id: result.status for result in file.results}


def explained(selection: Selection, name: str) -> list[str]:
    """Why a resource is selected or why it is not, a sentence a line."""
    reasons = explain(selection, name)
    if reasons:
        return [sentence(reason, selection.manifest) for reason in reasons]
    return [
        f"Not selected. {obstacle.message}"
        + (f". {obstacle.hint}" if obstacle.hint else "")
        + (f" ({sentence(obstacle.reason, selection.manifest)})" if obstacle.reason else "")
        for obstacle in obstacles(selection, name)
    ]


def sentence(reason: Reason, manifest: Manifest) -> str:
    """A reason in words: `+tag:finance matches marts.mart_revenue; upstream of it: staging.stg_orders`."""
    names = [manifest.resources[unique_id].identifier for unique_id in reason.path]
    if reason.how == "everything":
        return "Include is empty, so everything is selected"
    text = f"{reason.atom} matches {names[0]}"
    if reason.atom != reason.value:
        text = f"{text} (in {reason.value!r})"
    if reason.how == "matched":
        return text
    words = {
        "upstream": "it is upstream",
        "downstream": "it is downstream",
        "around": "@ takes in what its downstream needs",
        "test": "it is a test of a selected model",
    }
    return f"{text}; {words[reason.how]}: {' -> '.join(names)}"
