"""Places that hold files: list them, fetch one into the scratch folder, forget it."""

import base64
import hashlib
import io
import json
import stat
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nodes.connections.connectors.base import Context
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.file_settings import File, Settings
from nodes.connections.connectors.places import MOST_FILES, allowed, files_below


class Store:
    """A place with files; use it in `with`."""

    def __init__(self, config: Settings, context: Context) -> None:
        self.config, self.context = config, context
        self._count = 0

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""

    def files(self) -> list[File]:
        """Every file below the folder, sorted by name."""
        raise NotImplementedError

    def fetch(self, file: File) -> Path:
        """The file on this machine."""
        if file.size > self.config.most_mib * 1024 * 1024:
            raise SourceError("data", f"{file.name} is larger than {self.config.most_mib:,} MiB.")
        self._count += 1
        ending = "".join(Path(file.name).suffixes[-2:])[-20:]
        path = self.context.scratch / f"file-{self._count}{ending}"
        self.download(file, path)
        return path

    def download(self, file: File, to: Path) -> None:
        """Copy a file into the scratch folder."""
        raise NotImplementedError

    def forget(self, path: Path) -> None:
        """It has been read."""
        path.unlink(missing_ok=True)


class Local(Store):
    """A folder of this machine; nothing is copied."""

    def files(self) -> list[File]:
        """Every file that may be read."""
        folder = allowed(self.config.folder, self.context)
        if not folder.is_dir():
            raise SourceError("config", f"{self.config.folder} is not a folder.")
        files = []
        for name, path in files_below(folder, self.context):
            about = path.stat()
            files.append(File(name, str(path), about.st_size, datetime.fromtimestamp(about.st_mtime, UTC)))
        return files

    def fetch(self, file: File) -> Path:
        """Where it is."""
        return Path(file.handle)

    def forget(self, path: Path) -> None:
        """It is not ours to delete."""


class Remote(Store):
    """A bucket or a container, through fsspec."""

    def __init__(self, config: Settings, context: Context) -> None:
        super().__init__(config, context)
        self.fs = self.filesystem()

    def filesystem(self) -> Any:
        """The filesystem of fsspec."""
        raise NotImplementedError

    def files(self) -> list[File]:
        """Every object below the folder."""
        root = self.config.folder.split("://")[-1].strip("/")
        listing = self.fs.find(root, detail=True)
        if len(listing) > MOST_FILES:
            raise SourceError("config", f"There are more than {MOST_FILES:,} files; choose a smaller folder.")
        files = []
        for path, about in sorted(listing.items()):
            name = path.strip("/").removeprefix(root).strip("/") or path.rsplit("/", 1)[-1]
            if about.get("type") == "file" and not path.endswith("/"):
                files.append(File(name, path, int(about.get("size") or 0), _modified(about)))
        if not files and not self.fs.exists(root):
            raise SourceError("config", f"{root} does not exist.")
        return files

    def download(self, file: File, to: Path) -> None:
        """Piece by piece."""
        self.fs.get_file(file.handle, str(to))


class S3(Remote):
    """Amazon's, or one that speaks like it."""

    def filesystem(self) -> Any:
        """Without the credentials and settings of this machine."""
        import s3fs

        has_key = bool(self.config.key_id)
        options = {"region_name": self.config.region} if self.config.region else {}
        return s3fs.S3FileSystem(
            key=self.config.key_id,
            secret=self.config.key_secret,
            anon=not has_key,
            endpoint_url=self.config.endpoint or None,
            client_kwargs=options,
            config_kwargs={"retries": {"max_attempts": 3}, "connect_timeout": 10, "read_timeout": 60},
            skip_instance_cache=True,
            use_listings_cache=False,
        )


class Gcs(Remote):
    """Google's."""

    endpoint: str | None = None  # another server, in tests

    def filesystem(self) -> Any:
        """With a service account alone, never the metadata server."""
        from gcsfs.core import GCSFileSystem  # the one over HTTP; gRPC's sockets are not Python's

        try:
            token: Any = json.loads(self.config.service_account or "")
        except ValueError as error:
            raise SourceError("config", "The service account is not JSON.") from error
        if self.endpoint:
            token = "anon"  # noqa: S105 - a word of gcsfs
        return GCSFileSystem(
            token=token, endpoint_url=self.endpoint, skip_instance_cache=True, use_listings_cache=False
        )


class Azure(Remote):
    """Microsoft's."""

    endpoint: str | None = None  # another server, in tests

    def filesystem(self) -> Any:
        """With a key or a token of the account."""
        import adlfs

        extra = {}
        if self.endpoint:
            key = f"AccountKey={self.config.account_key}"
            extra["connection_string"] = (
                f"DefaultEndpointsProtocol=http;AccountName={self.config.account};{key};BlobEndpoint={self.endpoint};"
            )
        return adlfs.AzureBlobFileSystem(
            account_name=self.config.account,
            account_key=self.config.account_key,
            sas_token=self.config.sas_token,
            anon=not (self.config.account_key or self.config.sas_token),
            skip_instance_cache=True,
            use_listings_cache=False,
            **extra,
        )


class Sftp(Store):
    """A folder of another machine, over SSH."""

    def __init__(self, config: Settings, context: Context) -> None:
        super().__init__(config, context)
        import paramiko

        host = config.host or ""
        address = context.guard.resolve(host)
        self._client = paramiko.SSHClient()
        self._client.set_missing_host_key_policy(_Fingerprint(config.host_key, context.say))
        key = _private_key(config.private_key, config.password) if config.private_key else None
        self._client.connect(
            address,
            port=config.port,
            username=config.user,
            password=None if key else config.password,
            pkey=key,
            allow_agent=False,
            look_for_keys=False,
            timeout=10,
            banner_timeout=10,
            auth_timeout=10,
        )
        self._sftp = self._client.open_sftp()

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def files(self) -> list[File]:
        """Every file below the folder, links left out."""
        files: list[File] = []
        root = self.config.folder.rstrip("/") or "/"
        waiting = [""]
        while waiting:
            below = waiting.pop()
            try:
                entries = self._sftp.listdir_attr(f"{root}/{below}" if below else root)
            except FileNotFoundError as error:
                raise SourceError("config", f"The folder {root} does not exist.") from error
            for entry in entries:
                name = f"{below}/{entry.filename}" if below else entry.filename
                if entry.filename.startswith(".") or entry.st_mode is None:
                    continue
                if stat.S_ISDIR(entry.st_mode):
                    waiting.append(name)
                elif stat.S_ISREG(entry.st_mode):
                    moment = datetime.fromtimestamp(entry.st_mtime or 0, UTC)
                    files.append(File(name, f"{root}/{name}", entry.st_size or 0, moment))
            if len(files) > MOST_FILES:
                raise SourceError("config", f"There are more than {MOST_FILES:,} files; choose a smaller folder.")
        return sorted(files, key=lambda file: file.name)

    def download(self, file: File, to: Path) -> None:
        """Piece by piece."""
        self._sftp.get(file.handle, str(to))


def _Fingerprint(expected: str | None, say: Callable[[str], None]) -> Any:
    """The policy for host keys: the one that was named, or any, said aloud."""
    import paramiko

    class Policy(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
            if not expected:
                say(f"the server's host key is SHA256:{digest}; add it to the connection to accept only this key")
            elif expected.removeprefix("SHA256:").rstrip("=") != digest:
                raise SourceError(
                    "auth",
                    "The host key of the server is not the expected one. Someone may be intercepting the connection.",
                )

    return Policy()


def _private_key(text: str, password: str | None) -> Any:
    import paramiko

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with suppress(paramiko.SSHException, ValueError):
            return kind.from_private_key(io.StringIO(text.strip() + "\n"), password=password or None)
    raise SourceError("config", "The private key cannot be read: it must be Ed25519, ECDSA or RSA, in PEM.")


def _modified(about: dict[str, Any]) -> datetime:
    for name in ("LastModified", "last_modified", "mtime", "updated", "timeCreated"):
        value = about.get(name)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, str):
            return datetime.fromisoformat(value.replace("Z", "+00:00"))
    return datetime.fromtimestamp(0, UTC)


PLACES: dict[str, type[Store]] = {"local": Local, "s3": S3, "gcs": Gcs, "azure": Azure, "sftp": Sftp}
