"""Tests with an adapter that dex does not ship are chosen by `make test-warehouses` alone, which installs it."""

import os

import pytest

from nodes.dbt.warehouses.registry import WAREHOUSES
from tests.nodes.dbt.warehouses.adapter_lab import BUILT_IN

ROOMS = ("test_adapters.py", "test_servers.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave those out unless DEX_TEST_WAREHOUSES is set. The name of a test has the type of its warehouse."""
    others = [kind for kind in WAREHOUSES if kind not in BUILT_IN]
    if not os.environ.get("DEX_TEST_WAREHOUSES"):
        left_out = [each for each in items if each.path.name in ROOMS and any(kind in each.name for kind in others)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [each for each in items if each not in left_out]
