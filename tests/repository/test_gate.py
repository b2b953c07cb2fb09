"""The gate tries what failed once more, alone, and names what was red once."""

import subprocess
from pathlib import Path

import pytest

TWICE = Path(__file__).parents[2] / ".ci" / "twice"
SAID = """FAILED tests/a.py::test_x[from the failure] - AssertionError: 1 - 2
FAILED tests/a.py::test_y
ERROR tests/b.py::test_z - OSError: [Errno 2] no such file
"""
NAMES = ["tests/a.py::test_x[from the failure]", "tests/a.py::test_y", "tests/b.py::test_z"]


@pytest.mark.parametrize(("second_code", "code"), [(0, 0), (1, 1)])
def test_what_failed_is_tried_again_and_named_in_full(tmp_path, second_code, code):
    command = tmp_path / "command"
    (tmp_path / "said").write_text(SAID)
    command.write_text(f'#!/bin/sh\n[ "$1" ] && exit {second_code}\ncat {tmp_path}/said\nexit 1\n')
    command.chmod(0o755)
    flaky = tmp_path / "flaky"
    flaky.touch()
    environment = {"PATH": "/usr/bin:/bin", "DEX_FLAKY_TESTS": str(flaky)}
    ended = subprocess.run([TWICE, command], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    assert [line.strip() for line in ended.stdout.splitlines()[-3:]] == NAMES
    assert flaky.read_text().split("\n")[:-1] == ([f"  {name}" for name in NAMES] if code == 0 else [])
