"""Loaded before Django's settings: tests get a DEX_HOME of their own and fast clocks."""

import atexit
import os
import shutil
import tempfile

HOME = tempfile.mkdtemp(prefix="dex-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ["DEX_HOME"] = HOME
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dexsite.settings")
os.environ.setdefault("DEX_SWEEP_S", "1")
