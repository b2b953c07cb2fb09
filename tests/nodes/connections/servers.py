"""Servers that speak the protocols of other machines: SFTP and MariaDB, each on a port of its own."""

import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import paramiko
import pymysql  # type: ignore[import-untyped]

from tests.helpers.servers import free_port
from tests.helpers.waiting import patience

PASSWORD = "pass-of-the-server-123"


class Sftp:
    """A folder over SSH, for one user with one password."""

    def __init__(self, folder: Path) -> None:
        self.key = paramiko.RSAKey.generate(2048)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        outer = folder

        class Login(paramiko.ServerInterface):
            def check_auth_password(self, username: str, password: str) -> int:
                right = (username, password) == ("reader", PASSWORD)
                return int(paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED)

            def check_channel_request(self, kind: str, chanid: int) -> int:
                return int(paramiko.OPEN_SUCCEEDED)

        class Files(paramiko.SFTPServerInterface):
            def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
                place = outer / path.lstrip("/")
                if not place.is_dir():
                    return int(paramiko.SFTP_NO_SUCH_FILE)
                return [paramiko.SFTPAttributes.from_stat(each.stat(), each.name) for each in place.iterdir()]

            def stat(self, path: str) -> paramiko.SFTPAttributes:
                return paramiko.SFTPAttributes.from_stat((outer / path.lstrip("/")).stat())

            lstat = stat

            def open(self, path: str, flags: int, attr: object) -> paramiko.SFTPHandle:
                handle = paramiko.SFTPHandle(flags)
                handle.readfile = (outer / path.lstrip("/")).open("rb")
                return handle

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = self.listener.accept()
                    transport = paramiko.Transport(connection)
                    transport.add_server_key(self.key)
                    transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
                    with suppress(paramiko.SSHException, EOFError):
                        transport.start_server(server=Login())

        threading.Thread(target=serve, daemon=True).start()

    def close(self) -> None:
        self.listener.close()


class MariaDb:
    """A server of its own, in a folder of its own, without any of the machine's settings."""

    @staticmethod
    def programs() -> bool:
        return bool(shutil.which("mariadbd", path=_PATH) and shutil.which("mariadb-install-db", path=_PATH))

    def __init__(self, folder: Path) -> None:
        self.port, data = free_port(), folder / "data"
        user = ["--user=root"] if os.getuid() == 0 else []
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db", *user,
             "--auth-root-authentication-method=normal"],
            check=True, capture_output=True, env={"PATH": _PATH},
        )  # fmt: skip
        self.process = subprocess.Popen(
            ["mariadbd", "--no-defaults", f"--datadir={data}", f"--port={self.port}", "--bind-address=127.0.0.1",
             f"--socket={folder / 'sock'}", f"--pid-file={folder / 'pid'}", "--skip-log-bin", *user],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": _PATH},
        )  # fmt: skip
        deadline = time.monotonic() + patience(30)
        while True:
            try:
                self.ask("SELECT 1")
                return
            except pymysql.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def ask(self, *statements: str) -> tuple[tuple[object, ...], ...]:
        connection = pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return tuple(cursor.fetchall())

    def reader(self, database: str) -> tuple[str, ...]:
        """The statements that make a user who may only read this database."""
        return (
            f"CREATE OR REPLACE USER reader@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT SELECT ON {database}.* TO reader@'127.0.0.1'",
        )

    def source(self, database: str) -> dict[str, Any]:
        """The settings of a connection as that user."""
        return {
            "system": "mysql", "host": "127.0.0.1", "port": self.port, "database": database, "user": "reader",
            "password": PASSWORD, "tls": "disable",
        }  # fmt: skip

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


_PATH = "/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin:/bin:/sbin"
