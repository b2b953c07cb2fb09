"""Levels of isolation in tests: what a test needs, and when it may be left out.

`make test-levels` runs the tests of scripts, the demo and `up` again with bubblewrap hidden (DEX_BUBBLEWRAP=0) and as
an ordinary user. There a lower level is meant, and what needs a higher one is left out, also with CI=true; everywhere
else a missing level is a missing program, and nothing is skipped with CI=true.
"""

import os

import pytest
from django.conf import settings

from flows.infra import process


def needs_level(level: int) -> pytest.MarkDecorator:
    """Skips a test below a level of isolation; with CI=true only where that level was taken away on purpose."""
    meant = os.environ.get("CI") != "true" or not settings.BUBBLEWRAP
    here = process.isolation()
    return pytest.mark.skipif(here.level < level and meant, reason=f"needs isolation level {level}: {here.missing}")


def needs_root() -> pytest.MarkDecorator:
    """Skips a test that has to become other users."""
    meant = os.environ.get("CI") != "true" or os.environ.get("DEX_TEST_AS_USER") == "1"
    return pytest.mark.skipif(os.getuid() != 0 and meant, reason="only root has other users: run the tests as root")
