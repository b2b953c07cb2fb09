"""The lines of dbt (1.8, 1.9 ...) that sessions run on: their Pythons, their adapters, and what a project asks for.

Pure.
"""

import re
from collections.abc import Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet

#: line of dbt -> the oldest and the newest Python that it runs on, of those that dex supports for it
LINES = {
    "1.8": ("3.10", "3.12"),
    "1.9": ("3.10", "3.12"),
    "1.10": ("3.10", "3.13"),
    "1.11": ("3.10", "3.13"),
    "1.12": ("3.10", "3.13"),
}
OLDEST, NEWEST = next(iter(LINES)), next(reversed(LINES))
SUPPORTED = "dbt-core>=1.8,<1.13"  # as a requirement
SPOKEN = f"dbt {OLDEST} to {NEWEST}"
#: type of a profile -> the package of its adapter, where that is not dbt-<type>
_PACKAGES = {"mariadb": "dbt-mysql", "mysql5": "dbt-mysql"}
_PATCHES = 100  # of a line that are thought of
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,50}")
_CONDITION = re.compile(r"(>=|<=|==|!=|=|>|<)?v?([0-9][0-9A-Za-z.+*-]{0,50})")


def pythons_of(line: str) -> list[str]:
    """The lines of Python that a line of dbt runs on, the newest first."""
    oldest, newest = (int(each.partition(".")[2]) for each in LINES[line])
    return [f"3.{minor}" for minor in range(newest, oldest - 1, -1)]


def lines_for(specifier: SpecifierSet) -> list[str]:
    """The supported lines of which some version is allowed, the newest first."""
    named = [each.version for each in specifier]  # 1.12.0b1 may be asked for by its name
    allowed = []
    for line in reversed(LINES):
        versions = [f"{line}.{patch}" for patch in range(_PATCHES)] + [each for each in named if line_of(each) == line]
        if any(specifier.contains(version, prereleases=True) for version in versions if "*" not in version):
            allowed.append(line)
    return allowed


def line_of(version: str) -> str:
    """1.10 of 1.10.23."""
    return ".".join(version.split(".")[:2])


def package_of(adapter_type: str) -> str:
    """The package of the adapter for a profile's type; "" for what cannot be the name of one."""
    if not _TYPE.fullmatch(adapter_type):
        return ""
    return _PACKAGES.get(adapter_type, f"dbt-{adapter_type.lower().replace('_', '-')}")


def conditions_of(required: Sequence[str]) -> str:
    """What `require-dbt-version` of a project asks for, as a requirement has it: >=1.8.0,<1.11.0.

    In: the conditions as dbt writes them: ">=1.8.0", "=1.10.3", "1.10.3", or several with commas between them. Raises
    ValueError, which says what is wrong with them.
    """
    conditions: list[tuple[str, str]] = []
    for text in (part.strip() for each in required for part in each.split(",")):
        found = _CONDITION.fullmatch(text.replace(" ", "")) if text else None
        if text and found is None:
            raise ValueError(f"require-dbt-version: {text[:60]} is not a condition such as >=1.8.0.")
        if found is not None:
            operator, version = found.groups()
            conditions.append(("==" if operator in (None, "=") else operator, version))
    said = ",".join(f"{operator}{version}" for operator, version in sorted(set(conditions), reverse=True))
    try:
        SpecifierSet(said)
    except InvalidSpecifier as error:
        raise ValueError(f"require-dbt-version: {', '.join(required)[:100]} cannot be understood.") from error
    return said
