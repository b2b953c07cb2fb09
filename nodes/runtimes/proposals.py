"""Which runtime a project needs, from what its repository says: its requirements, its profiles, its dbt_project.yml.

Pure: reads what the last syncs found (DbtRuntime.found), never the repository.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import SpecifierSet

from nodes.dbt.lines import SPOKEN, conditions_of, lines_for, package_of
from nodes.runtimes.wanted import CORE


@dataclass(frozen=True)
class Proposal:
    """A runtime that fits a project: `requirements` to accept, and why.

    `file`: where they are found in the repository, "" where dex puts them together. `problem`: why there is none.
    """

    requirements: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    file: str = ""
    problem: str = ""


def types_in(found: Mapping[str, Any]) -> list[str]:
    """The types of profiles that the environments of a project use, sorted."""
    return sorted({str(each["type"]) for each in found.values() if each.get("type")})


def propose(found: Mapping[str, Any], built_in_version: str, adapters: Sequence[str]) -> Proposal | None:
    """What to use instead of the built-in dbt; None where that fits, or where nothing is known yet.

    In: what syncs found, by environment; the version and the adapters of the dbt that dex ships.
    """
    for each in found.values():
        if each.get("dbt"):
            file = str(each["file"])
            return Proposal(tuple(each["dbt"]), (f"{file} of the repository names them.",), file)
    types = types_in(found)
    missing = [each for each in types if each not in adapters]
    required = sorted({condition for each in found.values() for condition in each.get("require", ())})
    try:
        conditions = conditions_of(required)
    except ValueError as error:
        return Proposal(problem=str(error))
    specifier = SpecifierSet(conditions)
    fits = specifier.contains(built_in_version, prereleases=True)
    if not types or (not missing and fits):
        return None
    if unknown := [each for each in types if not package_of(each)]:
        return Proposal(problem=f"The type {unknown[0][:60]!r} in profiles.yml cannot be the name of an adapter.")
    because = [f"profiles.yml has the type {each}." for each in types]
    if required:
        because.append(f"dbt_project.yml requires dbt {conditions}.")
    lines = lines_for(specifier)
    if not lines:
        return Proposal(
            because=tuple(because),
            problem=f"dbt_project.yml requires dbt {conditions}, but dex runs {SPOKEN}. Change require-dbt-version.",
        )
    core = f"{CORE}{conditions}" if required else f"{CORE}~={built_in_version.rpartition('.')[0]}.0"
    return Proposal((core, *dict.fromkeys(package_of(each) for each in types)), tuple(because))
