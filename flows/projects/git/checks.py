"""What may be named as a repository, a branch and a folder in it. Pure."""

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

_SCP = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?!//)(?P<path>[^:].*)"
)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_NOT_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|/$|\.$|\.lock(?:/|$)|(?:^|/)\.")


class GitError(Exception):
    """A repository cannot be used as asked; the message says what to do, and holds no secret."""


def check_url(text: str) -> str:
    """The URL of a repository, as Git shall get it. Raises GitError for what is no https or ssh URL."""
    url = text.strip()
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise GitError("The URL contains a space or a control character.")
    if "::" in url or url.startswith("-"):
        raise GitError("Use https://host/path or ssh://user@host/path.")
    if match := _SCP.fullmatch(url):
        user = f"{match['user']}@" if match["user"] else ""
        url = f"ssh://{user}{match['host']}/{match['path'].lstrip('/')}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise GitError("The URL is not valid.") from error
    if parts.scheme not in ("https", "ssh"):
        raise GitError("Use https://host/path or ssh://user@host/path; other protocols are not allowed.")
    if parts.password is not None or (parts.scheme == "https" and parts.username is not None):
        raise GitError("The URL must not contain a user name or password; use the separate fields.")
    if parts.username is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", unquote(parts.username)):
        raise GitError("The user in the URL is not valid.")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise GitError("The URL has no host.")
    if port == 0 or not parts.path.strip("/") or parts.query or parts.fragment:
        raise GitError("The URL must end in the path of the repository, such as https://host/team/shop.git.")
    return url


def check_branch(name: str) -> str:
    """The name of a branch. Raises GitError for one that Git would not take (git check-ref-format)."""
    if not name or len(name) > 200 or _NOT_IN_REF.search(name) or name == "@":
        raise GitError(f"{name[:60]!r} is not a valid branch name.")
    return name


def check_subfolder(text: str) -> str:
    """A folder within a repository, relative, without ".."; empty for its top. Raises GitError."""
    path = PurePosixPath(text.strip().strip("/"))
    if any(part in ("..", ".git") for part in path.parts) or any(ord(letter) < 32 for letter in text) or "\\" in text:
        raise GitError("Enter a folder in the repository, such as transform/shop.")
    return "" if str(path) == "." else str(path)
