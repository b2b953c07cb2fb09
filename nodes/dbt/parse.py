"""From a project folder to its manifest: a copy, parsed once by dbt in a child process, kept in a cache."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.infra import process
from nodes.dbt import profiles, working_copy
from nodes.dbt.runtime import CODE, Runtime, built_in
from nodes.dbt.warehouses.problems import no_adapter

# Beside DuckDB's own, threads reserve address space; this stops a runaway, not a large project.
LIMITS = process.Limits(memory=16 * 1024**3)
_KEPT_DAYS = 14
_NO_ADAPTER = re.compile(r"Could not find adapter type (\w{1,100})!")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class ParseError(Exception):
    """The project cannot be parsed: `message` says why in dbt's words, `log` is all that was printed."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.message, self.log = message, log


@dataclass(frozen=True)
class ParsedProject:
    """A parsed copy of a project; nothing of it changes any more."""

    fingerprint: str
    manifest_path: Path
    project_dir: Path
    profiles_dir: Path
    target_dir: Path  # holds partial_parse.msgpack
    profile: profiles.Profile
    warnings: tuple[str, ...] = ()
    target: str = ""  # that it was parsed with, "" for the profile's own: with another, dbt parses all of it again


def parse_project(
    project_dir: Path,
    *,
    profiles_dir: Path | None = None,
    target: str | None = None,
    vars: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    home: Path | None = None,
    database_dir: Path | None = None,
    timeout: float = 600,
    beside: Sequence[Path] = (),
    commit: str = "",
    runtime: Runtime | None = None,
) -> ParsedProject:
    """Parse the folder as it is now, or take what an earlier parse of the same content left.

    In: `beside`, folders that belong to the project but are not in it, taken along under their names unless it has
    some of its own; `commit`, so that two commits are two parses even where they hold the same; `runtime`, whose dbt
    parses (default: the one that dex ships).
    `env` is what the project's env_var() sees. Without profiles.yml in the project or in `profiles_dir`
    one on DuckDB is made, with its file in `database_dir`. The folder itself is only read.
    """
    home = home or Path(tempfile.gettempdir()) / f"dex-{os.getuid()}"
    database_dir = database_dir or home / "databases"
    cache_dir = home / "dbt"
    cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    env, vars = dict(env or {}), dict(vars or {})
    if not (project_dir / "dbt_project.yml").is_file():
        raise ParseError(f"{project_dir} has no dbt_project.yml")
    try:
        beside = [folder for folder in beside if folder.is_dir() and not (project_dir / folder.name).exists()]
        runtime = runtime or built_in()
        order = _Order(project_dir, profiles_dir, target, vars, env, home, timeout, tuple(beside), commit, runtime)
        found = " ".join(working_copy.fingerprint(folder) for folder in (project_dir, *beside))
        found = found if not beside else hashlib.sha256(found.encode()).hexdigest()
        links = working_copy.outside_links(project_dir)
        entry = cache_dir / order.key(found)
        with _alone(cache_dir / f"{entry.name}.lock"):
            warnings = _kept(entry)
            if warnings is None:
                _forget_old(cache_dir)
                shutil.rmtree(entry, ignore_errors=True)
                try:
                    _look_at_profile(order)
                    warnings = _parse(order, entry)
                except BaseException:
                    shutil.rmtree(entry, ignore_errors=True)
                    raise
        copy = entry / "project"
        used = profiles_dir or (copy if (copy / "profiles.yml").is_file() else entry / "profiles")
        name = profiles.profile_name(copy, env)
        profile = profiles.describe(used, name, target, env=env, variables=vars, database_dir=database_dir)
    except (working_copy.SnapshotError, profiles.ProfileError) as error:
        raise ParseError(str(error)) from error
    outside = [f"{link} is a link that leads out of the project; it is left out" for link in links]
    return ParsedProject(
        fingerprint=found,
        manifest_path=entry / "target" / "manifest.json",
        project_dir=copy,
        profiles_dir=used,
        target_dir=entry / "target",
        profile=profile,
        warnings=(*warnings, *outside),
        target=target or "",
    )


@dataclass(frozen=True)
class _Order:
    """What is to be parsed and with what."""

    project_dir: Path
    profiles_dir: Path | None
    target: str | None
    vars: dict[str, Any]
    env: dict[str, str]
    home: Path
    timeout: float
    beside: tuple[Path, ...]
    commit: str
    runtime: Runtime

    def key(self, found: str) -> str:
        """Names the result: the same for everything that cannot change it."""
        own = b""
        if self.profiles_dir and (self.profiles_dir / "profiles.yml").is_file():
            own = (self.profiles_dir / "profiles.yml").read_bytes()
        parts = [found, own.hex(), self.target, self.vars, self.env, self.runtime.lock]
        parts += [self.commit] if self.commit else []
        parts += [{"runtime": self.runtime.digest}] if self.runtime.digest else []
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _parse(order: _Order, entry: Path) -> list[str]:
    """Fill the entry; its last file, written at once, makes it valid. Returns dbt's warnings."""
    entry.mkdir(parents=True, mode=0o700)
    copy = working_copy.take(order.project_dir, entry / "project")
    for folder in order.beside:
        working_copy.take(folder, copy / folder.name)
    used = order.profiles_dir or profiles.directory_for(
        copy, entry / "profiles", database=Path("warehouse.duckdb"), env=order.env
    )
    common = ["--project-dir", str(copy), "--profiles-dir", str(used), "--log-path", str(entry / "logs")]
    common += [
        "--log-level-file",
        "none",
        "--no-send-anonymous-usage-stats",
        "--no-version-check",
        "--no-use-colors",
    ]
    common += ["--target", order.target] if order.target else []
    common += ["--vars", json.dumps(order.vars)] if order.vars else []
    commands = [["parse", *common, "--target-path", str(entry / "target")]]
    wanted = any((copy / name).is_file() for name in ("packages.yml", "dependencies.yml"))
    if wanted and not (copy / "dbt_packages").is_dir():
        commands.insert(0, ["deps", *common])
    result = entry / "result.json"
    log = bytearray()
    child = process.start(
        [
            order.runtime.python,
            "-m",
            "nodes.dbt.parse_child",
            json.dumps({"commands": commands, "result": str(result)}),
        ],
        env=process.clean_environment({**order.env, "PYTHONPATH": str(CODE)}, home=order.home / "parse-home"),
        cwd=copy,
        limits=LIMITS,
        preload=order.runtime.preload,
        on_output=lambda data: log.extend(data[: max(0, 1_000_000 - len(log))]),
    )
    code = child.wait(order.timeout)
    if code is None:
        child.kill_tree(grace_int=2, grace_term=1)
    text = _readable(log.decode(errors="replace"), entry)
    if code is None:
        raise ParseError(f"dbt took longer than {order.timeout:g} seconds to parse the project", text)
    try:
        answer = json.loads(result.read_text())
    except (OSError, ValueError):
        last = text.strip().splitlines()[-1:] or ["no output"]
        raise ParseError(f"dbt ended with exit code {code} while it parsed the project: {last[0]}", text) from None
    if answer["error"]:
        message = _readable(answer["error"], entry)[:4000]
        missing = _NO_ADAPTER.search(message)
        raise ParseError(f"{no_adapter(missing[1])}\n{message}" if missing else message, text)
    if not (entry / "target" / "manifest.json").is_file():
        raise ParseError("dbt parsed the project but wrote no manifest", text)
    warnings = [_readable(warning, entry) for warning in answer["warnings"]]
    marker = entry / "parsed.json.new"
    marker.write_text(json.dumps({"warnings": warnings}))
    marker.rename(entry / "parsed.json")
    return warnings


def _look_at_profile(order: _Order) -> None:
    """Refuse before dbt reads them what dex could not read afterwards: dbt would be busy with it until its time is up.

    What else is wrong with them, dbt says better.
    """
    used = order.profiles_dir or order.project_dir
    try:
        name = profiles.profile_name(order.project_dir, order.env)
        if (used / "profiles.yml").is_file():
            profiles.describe(used, name, order.target, env=order.env, variables=order.vars)
    except profiles.UnreadableProfile:
        raise
    except profiles.ProfileError:
        return


def _kept(entry: Path) -> list[str] | None:
    """The warnings of an earlier parse, if there is a complete one."""
    marker = entry / "parsed.json"
    try:
        warnings: list[str] = json.loads(marker.read_text())["warnings"]
        os.utime(marker)  # still wanted
    except (OSError, ValueError, KeyError):
        return None
    return warnings if (entry / "target" / "manifest.json").is_file() else None


def _forget_old(cache_dir: Path) -> None:
    """Remove what nobody asked for in a long time."""
    oldest = time.time() - _KEPT_DAYS * 86400
    for marker in cache_dir.glob("*/parsed.json"):
        if marker.stat().st_mtime < oldest:
            shutil.rmtree(marker.parent, ignore_errors=True)


def forget(entry: Path, *, home: Path) -> bool:
    """Remove what a parse left, when nobody needs it any more; False for a folder that is no parse's of this home."""
    cache_dir = (home / "dbt").resolve()
    if entry.resolve().parent != cache_dir:
        return False
    with _alone(cache_dir / f"{entry.name}.lock"):
        shutil.rmtree(entry, ignore_errors=True)
    return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Of all processes and threads that want the same parse, one works and the others wait for it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _readable(text: str, entry: Path) -> str:
    """dbt's words without colours and without the places where dex keeps its copy."""
    text = _ANSI.sub("", text)
    for place in (entry / "project", entry):
        text = text.replace(f"{place}/", "").replace(str(place), ".")
    return text.strip()
