"""Loaded before Django's settings: tests get a DEX_HOME of their own and fast clocks."""

import atexit
import os
import shutil
import tempfile

HOME = tempfile.mkdtemp(prefix="dex-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ["DEX_HOME"] = HOME
if "DEX_TEST_SHARED" not in os.environ:  # the first process of the run; those that it starts inherit it
    os.environ["DEX_TEST_SHARED"] = tempfile.mkdtemp(prefix="dex-tests-shared-")
    atexit.register(shutil.rmtree, os.environ["DEX_TEST_SHARED"], ignore_errors=True)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dexsite.settings")
os.environ.setdefault("DEX_SWEEP_S", "1")
