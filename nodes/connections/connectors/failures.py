"""What goes wrong in a child process, as a kind and one sentence a person can act on, without any secret."""

import re
from collections.abc import Iterable, Iterator

from flows.infra.network.policy import AddressError, HostNotFound
from flows.infra.redaction import Redactor

KINDS = ("name", "port", "auth", "permission", "timeout", "config", "schema", "data", "http", "busy", "other")
LONGEST = 600  # characters of a sentence
READ = 20_000  # characters of what was said that are looked at


class SourceError(Exception):
    """Something that a connector can say itself."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


_AUTH = (
    r"password authentication failed|no password supplied|role \"[^\"]*\" does not exist|\b1045\b|Login failed for user"
    r"|\b18456\b|SCRAM|AuthenticationException|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidClientTokenId"
    r"|AuthenticationFailed|invalid_grant|RefreshError"
)
_PORT = (
    r"Connection refused|Can't connect to MySQL server.{0,300}?111|Unable to connect: Adaptive Server|actively refused"
    r"|No route to host|Network is unreachable|NoValidConnectionsError|EndpointConnectionError"
)
_OTHER_PROTOCOL = (
    r"received invalid response to SSL|invalid length of startup packet|Packet sequence number wrong"
    r"|unexpected message from server|expected authentication request|wrong version number|SSHException.{0,300}?banner"
    r"|Error reading SSH protocol banner|server closed the connection unexpectedly"
)
_PERMISSION = (
    r"permission denied|InsufficientPrivilege|command denied to user|\b1142\b|\b1044\b|AccessDenied|Forbidden"
    r"|The SELECT permission was denied|AuthorizationPermissionMismatch|PermissionDenied|PermissionError"
)
_TABLE = (
    r"NoSuchTableError|UndefinedTable|relation \"[^\"]*\" does not exist|no such table|\b1146\b|Invalid object name"
)
_TLS = (
    r"certificate verify failed|CERTIFICATE_VERIFY_FAILED|SSL connection is required|server does not support SSL"
    r"|no pg_hba.conf entry"
)
_TIMEOUT = r"timeout expired|timed out|TimeoutError|ReadTimeout|ConnectTimeout|statement timeout|Lost connection"
# (kind, what an exception or its type says, what a person reads); the first that matches wins. Servers choose what they
# say, so every pattern here is linear.
_SAID: tuple[tuple[str, str, str], ...] = (
    ("auth", _AUTH, "The user name or the password is wrong."),
    (
        "name",
        r"could not translate host name|Name or service not known|getaddrinfo failed|No address associated"
        r"|Temporary failure in name resolution|Unknown server host",
        "The host was not found. Check its name.",
    ),
    ("name", r"database \"[^\"]*\" does not exist|\b1049\b|Cannot open database", "The database does not exist."),
    ("port", _PORT, "The host does not answer. Check host and port, and that the server allows connections."),
    ("port", _OTHER_PROTOCOL, "A different service answers on this port. Check host and port."),
    ("permission", _PERMISSION, "The user does not have permission to read this. Grant it, or use another user."),
    (
        "busy",
        r"Could not set lock on file|Conflicting lock is held",
        "Another process has the warehouse's file open; DuckDB allows one at a time.",
    ),
    ("busy", r"database is locked", "Another process is writing to the SQLite file. Try again."),
    ("config", r"unable to open database file", "The SQLite file cannot be opened."),
    (
        "data",
        r"file is not a database|database disk image is malformed",
        "The file is damaged or is not a SQLite file.",
    ),
    ("config", _TABLE, "The table does not exist (any more)."),
    (
        "config",
        r"UndefinedColumn|no such column|Unknown column|Invalid column name",
        "The column does not exist (any more).",
    ),
    (
        "config",
        r"NoSuchBucket|NoSuchKey|ContainerNotFound|BlobNotFound|bucket does not exist|FileNotFoundError",
        "The bucket, container or file does not exist.",
    ),
    (
        "config",
        _TLS,
        "The server does not accept this encryption setting. Check TLS and the access rules of the server.",
    ),
    ("timeout", _TIMEOUT, "The server did not answer in time."),
)
_KNOWN = tuple((kind, re.compile(pattern, re.S), sentence) for kind, pattern, sentence in _SAID)
_DETAILS = tuple(
    map(
        re.compile,
        (
            r"(?:relation|table|column|database|role) [\"'`][^\"'`]*[\"'`]",
            r"no such (?:table|column): \S+",
            r"permission denied for \w+ \S+",
            r"Table '[^']*'",
            r"Unknown column '[^']*'",
        ),
    )
)


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, innermost last; dlt hides its causes in an attribute."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = getattr(current, "exception", None)
        current = inner if isinstance(inner, BaseException) else current.__cause__ or current.__context__


def explain(error: BaseException, secrets: Iterable[str] = ()) -> tuple[str, str]:
    """(kind, sentence) of what went wrong; secrets are masked."""
    masker = Redactor(secrets)
    kind, text = _explain(error)
    return kind, masker.whole(text)[:LONGEST]


def _explain(error: BaseException) -> tuple[str, str]:
    links = list(chain(error))
    for link in links:
        if isinstance(link, SourceError):
            return link.kind, str(link)
        if isinstance(link, AddressError):
            return "name" if isinstance(link, HostNotFound) else "config", str(link)
    if message := _of_dlt(links):
        return message
    for link in reversed(links):
        text = f"{type(link).__name__}: {link}"[:READ]
        for kind, pattern, sentence in _KNOWN:
            if pattern.search(text):
                return kind, f"{sentence}{_detail(link)}"
    last = links[-1]
    return "other", f"{type(last).__name__}: {first_line(str(last))}"


def first_line(text: str) -> str:
    """What fits into a sentence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:400] if lines else ""


def _detail(error: BaseException) -> str:
    """Which table, column or host, where the driver names it."""
    text = first_line(str(error))
    for pattern in _DETAILS:
        if match := pattern.search(text):
            return f" ({match[0]})"
    if type(error).__name__ == "NoSuchTableError":
        return f" ({text})"
    return ""


def _of_dlt(links: list[BaseException]) -> tuple[str, str] | None:
    """What dlt, pyarrow and DuckDB say about data, in plainer words."""
    for link in links:
        name, text = type(link).__name__, str(link)[:READ]
        if name == "IncrementalCursorPathMissing" or "Cursor column" in text:
            column = re.search(r"`([^`]+)`|path (\S+)", text)
            named = (column[1] or column[2]) if column else "of the stream"
            return "schema", f"The cursor column {named} is no longer in the data. Choose another cursor."
        if name == "IncrementalCursorPathHasValueNone":
            return (
                "data",
                "The cursor column has empty values, so those rows cannot be tracked. Choose another cursor, or merge.",
            )
        if name == "PyToArrowConversionException":
            return "data", f"A value of the column {getattr(link, 'field_name', '')} is not of its type: {_inner(link)}"
        if re.search(r"Conversion Error|Could not convert|invalid input syntax|numeric field overflow", text):
            return "data", f"A value does not fit its column: {first_line(text)}"
        if re.search(r"null value in column|NOT NULL constraint|declared non-nullable but contains nulls", text):
            column = re.search(r"[Cc]olumn [\"'`]([^\"'`]+)[\"'`]|failed: \S+\.(\w+)", text)
            named = (column[1] or column[2]) if column else ""
            return "data", f"The column {named} has empty values, which its key does not allow."
        if re.search(r"cannot alter type of a column used by a view", text):
            return (
                "schema",
                "The type of a column changed, and a view reads it. Drop the view, then load again with a full "
                "refresh.",
            )
        if re.search(r"[Nn]o space left|disk full", text):
            return "other", "There is no space left on the disk."
        if name == "MemoryError" or "Out of Memory" in text:
            return "other", "There was not enough memory."
    return None


def _inner(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__
    return first_line(str(cause or error))
