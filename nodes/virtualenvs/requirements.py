"""What a requirements file may ask for: that of a script, that of a dbt runtime. Pure.

A line names a package of the index, with versions, extras, a marker and hashes (PEP 508, pip's format of requirements
files). Everything that would fetch or build from elsewhere is refused: options, URLs, Git, folders, other files.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

LARGEST = 256 * 1024  # bytes
MOST = 500
LONGEST_LINE = 10_000  # characters, hashes too
_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"(?<!\s)\s+--hash[= ](?:sha256|sha384|sha512):[0-9a-fA-F]+")


class RequirementsError(ValueError):
    """A requirements file cannot be used; the message names the line and says what to write instead."""


def read(path: Path, *, anything: bool = False) -> list[str]:
    """The requirements of a file, one each, in its order; none where there is no file.

    In: `anything`, whether lines are passed on as they are, whatever they ask for. Raises RequirementsError.
    """
    if not path.is_file() or path.is_symlink():
        return []
    data = path.read_bytes()
    if len(data) > LARGEST:
        raise RequirementsError(f"{path.name} has {len(data):,} bytes; at most {LARGEST:,} are allowed.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequirementsError(f"{path.name} is not UTF-8 text.") from error
    return parse(text, f"{path.name}, line ", anything=anything, whole=path.name)


def parse(text: str, place: str, *, anything: bool = False, whole: str = "The text") -> list[str]:
    """The requirements of a text, one each, in its order.

    In: `place`, what stands before the number of a line in a message ("requirements.txt, line "), `whole` what the text
    is called; `anything`, as for `read`. Raises RequirementsError.
    """
    requirements = []
    for number, line in _lines(text):
        if not anything:
            _check(f"{place}{number}", line)
        requirements.append(line)
    if len(requirements) > MOST:
        raise RequirementsError(f"{whole} names {len(requirements)} packages; at most {MOST} are allowed.")
    return requirements


def unpinned(lock: Sequence[str], requirements: Sequence[str]) -> list[str]:
    """Of what is installed (name==version each) that which no requirement names with exactly one version."""
    pinned = set()
    for line in requirements:
        try:
            requirement = Requirement(_HASH.sub("", line))
        except InvalidRequirement:  # where any line is allowed: what it asks for is not known
            continue
        only = list(requirement.specifier)
        if len(only) == 1 and only[0].operator in ("==", "===") and not only[0].version.endswith("*"):
            pinned.add(canonicalize_name(requirement.name))
    return [each for each in lock if each.partition("==")[0] not in pinned]


def _lines(text: str) -> list[tuple[int, str]]:
    """(number, line) without comments and empty lines; a backslash joins a line with the next."""
    lines: list[tuple[int, str]] = []
    kept, began = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        began = began or number
        line = _COMMENT.sub("", raw).rstrip() if not kept else raw.rstrip()
        if line.endswith("\\"):
            kept += line[:-1] + " "
            continue
        if whole := _COMMENT.sub("", kept + line).strip():
            lines.append((began, whole))
        kept, began = "", 0
    if kept.strip():
        lines.append((began, kept.strip()))
    return lines


def _check(place: str, line: str) -> None:
    short = line[:100]
    if len(line) > LONGEST_LINE:
        raise RequirementsError(f"{place}: at most {LONGEST_LINE:,} characters are allowed per line.")
    if line.startswith("-"):
        raise RequirementsError(
            f"{place}: options are not allowed ({short}). Use package names only; an administrator chooses the index."
        )
    try:
        requirement = Requirement(_HASH.sub("", line))
    except InvalidRequirement as error:
        raise RequirementsError(f"{place}: {short} is not a package with versions, such as requests>=2.32.") from error
    if requirement.url:
        raise RequirementsError(f"{place}: {short} is a URL. Only packages from the index are allowed.")
