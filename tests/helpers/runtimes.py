"""dbt runtimes in tests: real packages from the index, downloaded once for all processes of the suite."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

DBT_1_12 = ("dbt-core~=1.12.0", "dbt-duckdb")


def share_downloads() -> None:
    """Let the cache of uv below DEX_HOME be the one of all tests."""
    shared = Path(os.environ["DEX_TEST_SHARED"]) / "uv-cache"
    shared.mkdir(parents=True, exist_ok=True)
    place = Path(settings.DEX_HOME) / "uv-cache"
    if not place.exists():
        place.symlink_to(shared)


def publish_package(folder: Path, name: str, version: str, files: Mapping[str, str], requires: str = "") -> None:
    """Put a wheel with these files into a folder of packages."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = name.replace("-", "_")
    about = f"{plain}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    whole = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*whole, f"{about}/RECORD"))
    with zipfile.ZipFile(folder / f"{plain}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**whole, f"{about}/RECORD": record}.items():
            wheel.writestr(path, text)


def publish_hollow_dbt(folder: Path, version: str, **files: str) -> tuple[str, ...]:
    """A release of dbt Core and of an adapter that look right and hold nothing; the requirements that name them.

    In: `files`, modules of dbt Core that it holds, with `__` for a dot.
    """
    modules = {f"{name.replace('__', '/')}.py": text for name, text in files.items()}
    publish_package(folder, "dbt-core", version, {"dbt/version.py": ""} | modules)
    adapter = {"dbt/adapters/hollow/__init__.py": "", "dbt/include/hollow/dbt_project.yml": "name: dbt_hollow\n"}
    publish_package(folder, "dbt-hollow", version, adapter, requires="dbt-core")
    return (f"dbt-core=={version}", "dbt-hollow")
