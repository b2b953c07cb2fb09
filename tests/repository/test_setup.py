"""`bin/setup` on machines where something is missing: it says what, and the command that mends it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.waiting import patience

pytestmark = pytest.mark.process

NEEDED = ("sh", "dirname", "id", "grep", "awk", "cat", "date", "touch", "make", "git", "mkdir", "cp")
OLD = '#!/bin/sh\n[ "$1" != -V ] || { echo Python 3.9.18; exit 0; }\necho old\n'
NEW = '#!/bin/sh\n[ "$1" != -V ] || { echo Python 3.12.1; exit 0; }\necho new\n'
NO_VENV = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; *print*python%d*) echo python3.11 ;; *) echo new ;; esac\n'

#: A Python whose environments have the programs `pip` and `uv` of the current folder for pip and uv.
MAKES = """#!/bin/sh
[ "$2" = venv ] || { echo new; exit 0; }
mkdir -p .venv/bin && cp pip .venv/bin/python && cp uv .venv/bin/uv
"""
PIP = """#!/bin/sh
case "$*" in
  *get*index-url) echo https://pip.example.org/simple ;;
  *get*cert) echo /company.pem ;;
esac
"""


class Machine:
    """A clone on a machine with these programs and no others."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder / "dex", folder / "programs"
        (self.folder / "bin").mkdir(parents=True)
        self.programs.mkdir()
        shutil.copy2(ROOT / "bin" / "setup", self.folder / "bin" / "setup")
        shutil.copy2(ROOT / "requirements-dev.lock", self.folder)
        for name in NEEDED:
            (self.programs / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is not installed"))
        self.has("apt-get", "#!/bin/sh\nexit 1\n")
        self.has("id", "#!/bin/sh\necho 0\n")

    def has(self, name: str, text: str) -> None:
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def offers(self, *packages: str) -> None:
        """The Debian packages that this machine could install."""
        known = " | ".join(packages)
        offered = f"case $2 in {known}) echo '  Candidate: 1.0' ;; *) echo '  Candidate: (none)' ;; esac"
        self.has("apt-cache", f"#!/bin/sh\n{offered}\n")

    def lacks(self, name: str) -> None:
        (self.programs / name).unlink()

    def set_up(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bin/setup", *arguments],
            cwd=self.folder,
            env={"PATH": str(self.programs), "HOME": str(self.folder), **environment},
            capture_output=True,
            text=True,
            timeout=patience(60),
            check=False,
        )

    def refuses(self, *arguments: str) -> str:
        """What is said where nothing is set up."""
        done = self.set_up(*arguments)
        assert done.returncode == 1 and not done.stderr, done.stderr
        assert not (self.folder / ".venv").exists()
        return done.stdout


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_bare_machine_gets_one_command_that_installs_all_that_is_missing(machine):
    machine.lacks("git")
    machine.lacks("make")
    said = machine.refuses()
    assert "There is no python3." in said and "git is not installed" in said and "make is not installed" in said
    assert "  apt-get update && apt-get install -y python3 python3-venv make git\n" in said
    assert said.endswith("Then run the same command again.\n")


def test_an_ordinary_user_gets_the_command_for_root(machine):
    machine.has("id", "#!/bin/sh\necho 1000\n")
    assert "as root:\n\n  apt-get update && apt-get install -y python3 python3-venv\n" in machine.refuses()
    machine.has("sudo", "#!/bin/sh\n")
    assert "  sudo sh -c 'apt-get update && apt-get install -y python3 python3-venv'\n" in machine.refuses()


def test_a_machine_without_debians_packages_gets_no_command_of_debian(machine):
    machine.lacks("apt-get")
    said = machine.refuses()
    assert "There is no python3. dex needs Python 3.11 or newer." in said and "apt-get" not in said


def test_a_python_without_venv_names_the_package_of_its_version(machine):
    machine.has("python3", NO_VENV)
    said = machine.refuses()
    assert "python3 has no venv module" in said and "apt-get install -y python3.11-venv\n" in said


def test_a_too_old_python_points_to_the_newest_that_is_installed(machine):
    machine.has("python3", OLD)
    machine.has("python3.10", OLD)
    machine.has("python3.12", NEW)
    machine.offers("python3.13")
    said = machine.refuses()
    assert "Python 3.9.18 is too old: dex needs Python 3.11 or newer. python3.12 is installed" in said
    assert "make setup PYTHON=python3.12\n" in said and "apt-get" not in said


def test_a_too_old_python_names_a_newer_package_only_where_there_is_one(machine):
    machine.has("python3", OLD)
    machine.offers("python3.11")
    said = machine.refuses()
    assert "apt-get install -y python3.11 python3.11-venv\n" in said and "make setup PYTHON=python3.11\n" in said
    machine.offers("python3.10")
    said = machine.refuses()
    assert "https://www.python.org/downloads/" in said and "apt-get" not in said


def test_a_python_that_does_not_start_is_not_called_too_old(machine):
    machine.has("python3", "#!/bin/sh\necho broken >&2\nexit 3\n")
    said = machine.refuses()
    assert "python3 does not start: broken" in said and "too old" not in said


def test_without_a_package_index_it_says_so_and_the_next_call_begins_anew(machine):
    python = str(Path(sys.executable).resolve())
    for _ in range(2):  # what the first call left, with or without pip in it, is no hindrance
        done = machine.set_up(python, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_CONFIG_FILE=os.devnull)
        assert done.returncode == 1, done.stdout
        assert "uv" in done.stderr and "A package index is needed" in done.stdout
        assert not (machine.folder / ".venv" / ".installed").exists()
        for name in (".venv", ".venv/bin", ".venv/pyvenv.cfg"):  # for other users, although this process says umask 077
            assert (machine.folder / name).stat().st_mode & 0o044 == 0o044
        shutil.rmtree(next((machine.folder / ".venv" / "lib").glob("python3*")) / "site-packages" / "pip")


def test_uv_gets_the_index_and_the_certificates_of_pips_settings(machine):
    machine.has("python3", MAKES)
    for name, text in (("pip", PIP), ("uv", '#!/bin/sh\necho "uv: $SSL_CERT_FILE $*"\n')):
        (machine.folder / name).write_text(text)
        (machine.folder / name).chmod(0o755)
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    told = "uv: /company.pem pip install --no-deps --require-hashes --default-index https://pip.example.org/simple -r"
    assert told in done.stdout and "Set up in" in done.stdout
    assert (machine.folder / ".venv" / ".installed").exists()
    assert "uv: /other.pem" in machine.set_up(SSL_CERT_FILE="/other.pem").stdout
