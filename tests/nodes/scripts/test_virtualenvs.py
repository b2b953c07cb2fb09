"""Environments of scripts: built once by many at once, never half there, from the index that was chosen."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nodes.scripts import virtualenvs
from nodes.scripts.packages import packages_of
from nodes.scripts.reading import reads_of_all
from nodes.scripts.virtualenvs import Renewal, find, key_of, made_of, root, virtualenv_for
from nodes.virtualenvs import Index, SetupFailed
from nodes.virtualenvs.requirements import RequirementsError, read, unpinned
from tests.helpers.levels import needs_level
from tests.helpers.paths import ROOT
from tests.helpers.waiting import patience, within
from tests.helpers.wheels import publish

pytestmark = pytest.mark.process


class Log(bytearray):
    def __call__(self, data: bytes) -> None:
        self.extend(data)


def build(home: Path, *requirements: str, index: Index | None = None, log: Log | None = None, **options) -> Path:
    return virtualenv_for(
        requirements, index or Index(), home, log=log if log is not None else Log(), timeout=patience(120), **options
    )


def test_ten_who_want_the_same_at_once_build_it_once(tmp_path):
    logs = [Log() for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        places = list(pool.map(lambda log: build(tmp_path, "six==1.17.0", log=log), logs))
    assert len(set(places)) == 1
    assert sum(b"building a virtual environment" in log for log in logs) == 1
    assert not [path for path in root(tmp_path).iterdir() if path.name.startswith(".")]
    done = subprocess.run(
        [places[0] / "bin/python", "-c", "import six; print(six.__version__)"], capture_output=True, check=True
    )
    assert done.stdout == b"1.17.0\n"


def test_a_build_that_was_killed_leaves_nothing_that_is_used(tmp_path):
    code = (
        "import sys; from pathlib import Path; from nodes.scripts.virtualenvs import *\n"
        "virtualenv_for(['duckdb==1.1.3'], Index(), Path(sys.argv[1]), log=lambda d: print(d, flush=True), timeout=99)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert b"building" in child.stdout.readline()
    time.sleep(0.3)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert find(["duckdb==1.1.3"], Index(), tmp_path) is None
    assert (build(tmp_path, "duckdb==1.1.3") / "made.json").is_file()


def test_a_stop_ends_a_build_at_once(tmp_path):
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with within(10), pytest.raises(SetupFailed, match="stopped"):
        build(tmp_path, "duckdb==1.1.2", stop=stop.is_set)


def test_offline_and_a_dead_index_say_so_and_only_the_network_is_tried_again(tmp_path):
    with pytest.raises(SetupFailed) as told:
        build(tmp_path, "six==1.17.0", index=Index(offline=True))
    assert "six" in str(told.value)
    with pytest.raises(SetupFailed) as told:
        build(tmp_path, "six==1.17.0", index=Index(url="http://127.0.0.1:9/simple"))
    assert told.value.passing


def hostile_source(folder: Path) -> tuple[str, Path]:
    """A page of links with one source distribution that leaves a mark when it is built: (links, mark)."""
    package = folder / "links" / "evil-1.0"
    package.mkdir(parents=True)
    mark = folder / "mark"
    (package / "setup.py").write_text(
        "from setuptools import setup\n"
        f"try:\n    open({str(mark)!r}, 'w').write('x')\nexcept OSError:\n    pass\n"
        "setup(name='evil', version='1.0', py_modules=['evil'])\n"
    )
    (package / "evil.py").write_text("value = 1\n")
    subprocess.run(["tar", "czf", "evil-1.0.tar.gz", "evil-1.0"], cwd=package.parent, check=True)
    return str(package.parent), mark


def test_source_distributions_are_built_only_where_that_is_allowed(tmp_path):
    links, mark = hostile_source(tmp_path)
    with pytest.raises(SetupFailed, match="evil"):
        build(tmp_path / "home", "evil==1.0", index=Index(find_links=links))
    assert not mark.exists()


@pytest.fixture
def open_folder():
    """A folder that other users may pass through; pytest closes all that is its own, and how deep that is varies."""
    with tempfile.TemporaryDirectory(prefix="dex-open-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@needs_level(2)
def test_a_source_distribution_that_may_be_built_reaches_nothing_and_stays_dexs_own(open_folder):
    links, mark = hostile_source(open_folder)
    for path in (Path(links), *Path(links).rglob("*")):  # the administrator's links are readable for whoever builds
        path.chmod(0o755 if path.is_dir() else 0o644)
    log = Log()
    index = Index(find_links=links, build=True)
    try:
        place = build(open_folder / "home", "evil==1.0", index=index, log=log, uids=range(61184, 61284))
    except SetupFailed as error:
        raise AssertionError(log.decode()) from error
    assert not mark.exists()
    owners = {path.lstat().st_uid for path in place.rglob("*")}
    assert owners == {os.getuid()}


def test_another_index_or_python_is_another_environment():
    keys = {key_of(["six"], Index()), key_of(["six"], Index(url="https://x/")), key_of(["six", "a"], Index())}
    assert len(keys) == 3 and key_of(["a", "six"], Index()) == key_of(["six", "a"], Index())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("# only words\n\n", []),
        ("requests>=2.32,<3  # for the API\nsix\n", ["requests>=2.32,<3", "six"]),
        ('colorama; sys_platform == "win32"\n', ['colorama; sys_platform == "win32"']),
        (
            "requests[socks]==2.32.3 \\\n  --hash=sha256:" + "a" * 64 + "\n",
            ["requests[socks]==2.32.3    --hash=sha256:" + "a" * 64],
        ),
        ("\ufeffsix\n", ["six"]),
    ],
)
def test_names_with_versions_are_requirements(tmp_path, text, found):
    path = tmp_path / "requirements.txt"
    path.write_text(text)
    assert [" ".join(line.split()) for line in read(path)] == [" ".join(line.split()) for line in found]


@pytest.mark.parametrize(
    "text",
    ["-r other.txt", "--index-url http://h/", "six @ file:///x", "git+https://h/x", "a b c", "\xff", "x" * 300_000],
)
def test_other_lines_are_refused_with_their_number(tmp_path, text):
    path = tmp_path / "requirements.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RequirementsError, match=r"requirements\.txt"):
        read(path)
    assert read(tmp_path / "none.txt") == []


def test_a_link_is_no_requirements_file_and_no_package(tmp_path):
    folder = tmp_path / "dex-custom-scripts"
    (folder / "job").mkdir(parents=True)
    (folder / "job" / "__main__.py").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to("/etc")
    (tmp_path / "requirements.txt").symlink_to("/etc/passwd")
    assert packages_of(tmp_path) == [] and read(tmp_path / "requirements.txt") == []


def test_variables_that_a_script_reads_are_found_in_its_text(tmp_path):
    path = tmp_path / "__main__.py"
    path.write_text(
        "import os, sys\nfrom os import environ, getenv\na = sys.argv[1]; b = sys.argv[3]\n"
        "os.getenv('A'); getenv('B', 'x'); os.environ['C']; environ.get('D'); os.getenv(name)\n"
        "os.environ['DEX_RUN_ID']\n"
    )
    (found,) = reads_of_all([path])
    assert (found.places, found.names) == ((1, 3), ("A", "B", "C", "D"))
    path.write_text("this is ( no python")
    assert reads_of_all([path])[0].places == ()


# --- renewals ------------------------------------------------------------------------------------------------------
@pytest.fixture
def shelf(tmp_path):
    """A folder of packages with release 1.0 of shopkit."""
    folder = tmp_path / "shelf"
    publish(folder, "shopkit", "1.0")
    return folder


def held(shelf, tmp_path, *requirements, log=None, **renewal):
    """The place and the lock of an environment from the shelf, and why it could not be renewed."""
    failures = []
    place = build(
        tmp_path / "home",
        *(requirements or ("shopkit",)),
        index=Index(find_links=str(shelf), offline=True),
        log=log,
        renewal=Renewal(failed=failures.append, **renewal),
    )
    return place, made_of(place).lock, failures


def test_an_environment_keeps_its_versions_until_somebody_renews_it(shelf, tmp_path):
    first, lock, _ = held(shelf, tmp_path)
    publish(shelf, "shopkit", "1.1")
    assert lock == ("shopkit==1.0",) and held(shelf, tmp_path)[:2] == (first, lock)
    again, lock, failures = held(shelf, tmp_path, asked=time.time())
    assert (lock, failures) == (("shopkit==1.1",), []) and again != first
    said = subprocess.run(
        [again / "bin/python", "-c", "import shopkit; print(shopkit.VERSION)"], capture_output=True, check=True
    )
    assert said.stdout == b"1.1\n"
    assert first.is_dir()  # a script may be using it
    assert (
        held(shelf, tmp_path)[0]
        == again
        == find(["shopkit"], Index(find_links=str(shelf), offline=True), tmp_path / "home")
    )


def test_old_unpinned_requirements_are_resolved_again_and_pinned_ones_never(shelf, tmp_path):
    open_place, _, _ = held(shelf, tmp_path)
    pinned_place, _, _ = held(shelf, tmp_path, "shopkit==1.0")
    publish(shelf, "shopkit", "1.1")
    assert held(shelf, tmp_path, age=3600)[0] == open_place
    assert held(shelf, tmp_path, age=0.001)[1] == ("shopkit==1.1",)
    assert held(shelf, tmp_path, "shopkit==1.0", age=0.001)[0] == pinned_place


def test_a_renewal_that_fails_keeps_the_old_one_says_why_and_is_not_tried_by_every_script(shelf, tmp_path):
    first, lock, _ = held(shelf, tmp_path)
    for path in shelf.iterdir():
        path.unlink()
    log, asked = Log(), time.time()
    place, kept, failures = held(shelf, tmp_path, log=log, asked=asked, age=0.001)
    assert (place, kept) == (first, lock) and "shopkit" in failures[0]
    assert b"it cannot be renewed, and is used as it was" in log
    quiet = Log()
    assert held(shelf, tmp_path, log=quiet, asked=asked, age=0.001) == (first, lock, []) and not quiet
    publish(shelf, "shopkit", "1.2")
    assert held(shelf, tmp_path, asked=time.time())[1] == ("shopkit==1.2",)


def test_ten_scripts_that_find_it_old_at_once_renew_it_once(shelf, tmp_path):
    held(shelf, tmp_path)
    publish(shelf, "shopkit", "1.1")
    logs, asked = [Log() for _ in range(10)], time.time()
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda log: held(shelf, tmp_path, log=log, asked=asked)[:2], logs))
    assert len(set(found)) == 1 and found[0][1] == ("shopkit==1.1",)
    assert sum(b"renewing the virtual environment" in log for log in logs) == 1


def test_an_environment_from_before_locks_were_noted_tells_its_lock_and_its_age(shelf, tmp_path):
    place, lock, _ = held(shelf, tmp_path)
    built = made_of(place).built
    (place / "made.json").write_text('{"requirements": ["shopkit"]}')
    assert made_of(place).lock == lock and abs(made_of(place).built - built) < patience(60)


def test_replaced_virtualenvs_are_deleted_after_a_week_and_unused_ones_after_a_month(shelf, tmp_path):
    first, _, _ = held(shelf, tmp_path)
    second, _, _ = held(shelf, tmp_path, asked=time.time())
    for days, there in ((6, {first, second}), (8, {second}), (31, set())):
        for place in (first, second):
            if place.is_dir():
                os.utime(place / "made.json", (time.time() - days * 86400,) * 2)
        virtualenvs._forget_old(root(tmp_path / "home"))
        assert {place for place in (first, second) if place.is_dir()} == there


@pytest.mark.parametrize(
    ("requirements", "left"),
    [
        (["shopkit==1.0", "urllib3==2.0"], []),
        (["Shop.Kit==1.0"], ["shopkit==1.0", "urllib3==2.0"]),
        (["shopkit==1.*", "urllib3>=2"], ["shopkit==1.0", "urllib3==2.0"]),
        (["shopkit===1.0"], ["urllib3==2.0"]),
        (["-e .", "shopkit==1.0  --hash=sha256:" + "a" * 64], ["urllib3==2.0"]),
    ],
)
def test_a_version_is_pinned_where_exactly_one_is_named(requirements, left):
    assert unpinned(["shopkit==1.0", "urllib3==2.0"], requirements) == left
