"""Real servers and workers for chaos: PostgreSQL and Redis on ports of their own, in a folder of their own."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.waiting import patience

FAST = {
    "DEX_HEARTBEAT_S": "0.5",
    "DEX_SELF_FENCE_S": "2",
    "DEX_LEASE_S": "4",
    "DEX_SWEEP_S": "1",
    "DEX_CANCEL_POLL_S": "0.3",
    "DEX_INFRA_BACKOFF_S": "0",
    "DEX_INFRA_ATTEMPTS": "50",
    "DEX_SHUTDOWN_GRACE_S": "2",
    "DEX_LOG_LEVEL": "WARNING",
}


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl, where Debian or the PATH has them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def require(**programs: object) -> None:
    """Skip the test, saying why, where a server is not installed; with CI=true nothing is skipped and it fails."""
    missing = [name for name, there in programs.items() if not there]
    if missing:
        message = f"{' and '.join(missing)} not installed: what needs it is not tested"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Postgres:
    """A cluster of its own, or a copy of one. initdb refuses to run as root, so root lends it to `postgres`."""

    def __init__(self, folder: Path, like: Path | None = None) -> None:
        self.programs = postgres_programs()
        self.data = folder / "pg"
        self.port = free_port()
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            # Not below pytest's own folder: a second pytest of root closes that to others at its start.
            own = Path(tempfile.mkdtemp(prefix="dex-tests-postgres-"))
            atexit.register(shutil.rmtree, own, ignore_errors=True)
            own.chmod(0o711)
            folder.mkdir(parents=True, exist_ok=True)
            self.data.symlink_to(own / "pg")
            self.data = own / "pg"
        self.data.mkdir(parents=True)
        if self.user:
            shutil.chown(self.data, self.user)
        if like:
            self._do("cp", "-a", f"{like.resolve()}/.", self.data)
            self.start()
            return
        self._do("initdb", "-D", self.data, "-A", "trust", "-U", "dex", "--no-sync")
        self.start()
        self._do("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "dex", "dex")

    @property
    def url(self) -> str:
        return f"postgresql://dex@127.0.0.1:{self.port}/dex"

    def _do(self, program: str, *arguments: object) -> None:
        assert self.programs is not None  # `require` has skipped the test otherwise
        own = self.programs / program
        command = [str(own) if own.exists() else program, *map(str, arguments)]
        if self.user:
            command = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", *command]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        if done.returncode:
            log = self.data / "log"
            server = log.read_text()[-2000:] if log.exists() else ""
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}\n{server}")

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k '' -c fsync=off -c max_connections=100"
        self._do("pg_ctl", "-D", self.data, "-w", "-l", self.data / "log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._do("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")


class Redis:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.process: subprocess.Popen | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                self.folder,
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + patience(10)
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            time.sleep(0.05)
        raise RuntimeError("redis-server did not start")

    def flush(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            connection.recv(100)

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


class Installation:
    """A dex with its environment: commands to its end, workers that can be killed and frozen."""

    postgres: "Postgres"  # of a distributed one
    redis: "Redis"

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.environment = {**os.environ, **FAST, "DEX_HOME": str(home), **environment}
        self.environment["DJANGO_SETTINGS_MODULE"] = "dexsite.settings"
        self.processes: list[subprocess.Popen] = []
        self.log = (home.parent / f"{home.name}.log").open("ab")

    def python(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=ROOT,
            check=check,
            text=True,
            stdout=subprocess.PIPE,
            stderr=self.log,
            timeout=patience(300),
        )

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.python("manage.py", *arguments, check=check)

    def spawn(self, *arguments: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=ROOT,
            stdout=self.log,
            stderr=self.log,
        )
        self.processes.append(process)
        return process

    def worker(self) -> subprocess.Popen:
        return self.spawn("-m", "celery", "-A", "dexsite", "worker", "--loglevel", "WARNING", "--concurrency", "4")

    def beat(self) -> subprocess.Popen:
        return self.spawn(
            *("-m", "celery", "-A", "dexsite", "beat", "--loglevel", "WARNING", "--max-interval", "1", "--pidfile=")
        )

    def workload(self, *arguments: str) -> str:
        return str(self.python("-m", "tests.chaos.workload", *arguments).stdout)

    def close(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in self.processes:
            process.wait()
        self.log.close()

    def tail(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text(errors="replace")[-6000:]
