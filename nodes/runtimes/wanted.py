"""What a dbt runtime is to consist of: requirements, checked before anything is built. Pure."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from nodes.dbt.lines import NEWEST, OLDEST, SPOKEN, lines_for, package_of
from nodes.virtualenvs.requirements import RequirementsError, parse

CORE = "dbt-core"
#: Packages of dbt that are no adapter.
_BESIDE = frozenset({CORE, "dbt-adapters", "dbt-common", "dbt-semantic-interfaces", "dbt-extractor", "dbt-protos"})
_OTHER_PROGRAMS = frozenset({"dbt", "dbt-fusion"})


class RuntimeProblem(ValueError):
    """A dbt runtime cannot be had; the message is a sentence that says what to do.

    `passing` where another try may succeed by itself; `stopped` where the worker ended meanwhile.
    """

    def __init__(self, message: str, *, passing: bool = False, stopped: bool = False) -> None:
        super().__init__(message)
        self.passing, self.stopped = passing, stopped


@dataclass(frozen=True)
class Wanted:
    """Requirements of a runtime; `constraints` are versions that hold for packages which come along."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()

    def digest(self, *where: object) -> str:
        """Names it, whatever the order of its lines. In: `where`, what else its packages depend on: the index."""
        parts = [sorted(set(self.requirements)), sorted(set(self.constraints)), *where]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def lines(self) -> list[str]:
        """The lines of dbt that it allows, the newest first."""
        return lines_for(_core_of(self.requirements))

    @property
    def names(self) -> set[str]:
        """The packages that it names. Raises RuntimeProblem."""
        return {canonicalize_name(each.name) for each in _read(self.requirements)}

    @property
    def install(self) -> tuple[str, ...]:
        """What is installed: dbt Core, even if only an adapter is named."""
        return self.requirements if CORE in self.names else (*self.requirements, CORE)

    def check(self, types: Sequence[str] = ()) -> None:
        """Raise RuntimeProblem unless it can be a runtime. In: the types of profiles that it is for."""
        names: list[str] = [canonicalize_name(each.name) for each in _read(self.requirements) if each.marker is None]
        every = self.names
        if other := every & _OTHER_PROGRAMS:
            raise RuntimeProblem(
                f"{min(other)} is another program than dbt Core, which dex runs. Remove that line and name {CORE}."
            )
        if names.count(CORE) > 1:
            raise RuntimeProblem(f"{CORE} is named {names.count(CORE)} times. Keep one of these lines.")
        if not self.lines:
            raise RuntimeProblem(
                f"{CORE}{_core_of(self.requirements)} is none of the versions that dex runs ({SPOKEN}). "
                f"Ask for one of them, such as {CORE}~={NEWEST}.0."
            )
        if not every - _BESIDE:
            examples = " or ".join(filter(None, map(package_of, types))) or "dbt-snowflake or dbt-postgres"
            raise RuntimeProblem(f"The adapter is missing. Add the package for your warehouse, such as {examples}.")


def typed(text: str, types: Sequence[str] = ()) -> Wanted:
    """The requirements that somebody typed, one per line. Raises RuntimeProblem, which names the line.

    In: the types of profiles that the runtime is for, for advice.
    """
    try:
        lines = parse(text, "Line ")
    except RequirementsError as error:
        raise RuntimeProblem(str(error)) from error
    if not lines:
        raise RuntimeProblem(f"Enter {CORE} and an adapter, one per line: {CORE}~={NEWEST}.0 and dbt-snowflake.")
    wanted = Wanted(tuple(lines))
    wanted.check(types)
    return wanted


def _core_of(requirements: Sequence[str]) -> SpecifierSet:
    """Which versions of dbt Core are allowed by all that name it."""
    allowed = SpecifierSet()
    for each in _read(requirements):
        if canonicalize_name(each.name) == CORE and each.marker is None:
            allowed &= each.specifier
    return allowed


def _read(requirements: Sequence[str]) -> list[Requirement]:
    found = []
    for line in requirements:
        try:
            found.append(Requirement(line.split(" --hash")[0]))
        except InvalidRequirement as error:  # where settings allow any line
            raise RuntimeProblem(f"{line[:100]} is not a package with versions, such as dbt-core~=1.10.0.") from error
    return found


__all__ = ["CORE", "NEWEST", "OLDEST", "RuntimeProblem", "Wanted", "typed"]
