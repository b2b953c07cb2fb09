"""Projects parsed by dbt once for all tests of this folder, with dbt itself alive to be asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.dbt.manifest import Manifest, decode
from tests.helpers.paths import ROOT
from tests.nodes.dbt.dbt_oracle import Oracle

PROJECTS = ROOT / "tests" / "selection"


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """dbt on a copy of the small project that the 319 cases are about."""
    with Oracle(PROJECTS / "project", tmp_path_factory.mktemp("lab")) as alive:
        yield alive


@pytest.fixture(scope="session")
def lab_manifest(oracle: Oracle) -> Path:
    """manifest.json of that project."""
    return oracle.manifest


@pytest.fixture(scope="session")
def lab(lab_manifest: Path) -> Manifest:
    return decode(lab_manifest.read_bytes())


@pytest.fixture(scope="session")
def wide_oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """dbt on a copy of the project that has one of everything: metrics, saved queries, functions, hooks."""
    with Oracle(PROJECTS / "wide", tmp_path_factory.mktemp("wide")) as alive:
        yield alive
