"""What a script's user is lent of dex's files, and that it is taken back; only root has other users."""

import os
import stat

import pytest

from flows.infra.process import lend, let_pass, users
from flows.infra.process.configuration import current
from tests.helpers.levels import needs_root

pytestmark = [pytest.mark.process, needs_root()]
UID = 65470


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(current, "home", tmp_path)
    return tmp_path


@pytest.fixture
def warehouse(home):
    folder = home / "warehouses" / "environment-1"
    folder.mkdir(parents=True, mode=0o700)
    database = folder / "shop.duckdb"
    database.write_bytes(b"rows")
    database.chmod(0o600)
    return database


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_warehouse_is_lent_to_one_user_alone_and_given_back_with_it(warehouse):
    uid = users.take_uid([UID])
    try:
        lend(warehouse.parent, (warehouse, warehouse.with_name("shop.duckdb.wal")), uid)
        assert (warehouse.stat().st_gid, mode(warehouse)) == (uid, 0o660)
        assert (warehouse.parent.stat().st_gid, mode(warehouse.parent)) == (uid, 0o770)
        made = warehouse.with_name("shop.duckdb.wal")  # as the script would
        made.write_bytes(b"more")
        os.chown(made, uid, uid)
    finally:
        users.give_uid_back(uid)
    for path in (warehouse, made):
        assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (os.getuid(), os.getgid(), 0o600)
    assert (warehouse.parent.stat().st_gid, mode(warehouse.parent)) == (os.getgid(), 0o700)


def test_a_file_with_a_hard_link_or_a_symlink_is_not_lent(warehouse, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    second, link = warehouse.with_name("second"), warehouse.with_name("link")
    second.hardlink_to(secret)
    link.symlink_to(secret)
    with pytest.raises(OSError, match=r"link|symbolic"):
        lend(warehouse.parent, (second, link), UID)
    assert (secret.stat().st_gid, mode(secret)) == (os.getgid(), 0o600)


def test_files_of_a_dead_worker_are_gone_before_its_user_is_given_out_again(home, warehouse):
    work = home / "work" / "7.1"
    work.mkdir(parents=True)
    (work / "token").write_text("of another attempt")
    for path in (work, work / "token"):
        os.chown(path, UID, UID)
    lend(warehouse.parent, (warehouse,), UID)
    users.give_uid_back(users.take_uid([UID]))
    assert not work.exists()
    assert warehouse.stat().st_gid == os.getgid() and mode(warehouse.parent) == 0o700


def test_when_a_lost_child_ends_the_files_lent_to_it_are_taken_back(warehouse):
    lend(warehouse.parent, (warehouse,), UID)
    users.kill_leftover_of(UID, None, None)
    assert mode(warehouse) == 0o600 and warehouse.stat().st_gid == os.getgid()


def test_others_may_pass_to_a_path_and_see_nothing_on_the_way(home):
    place = home / "virtualenvs" / "abc"
    place.mkdir(parents=True, mode=0o755)
    (home / "virtualenvs").chmod(0o700)
    home.chmod(0o700)
    let_pass(place, home)
    assert (mode(home), mode(home / "virtualenvs")) == (0o711, 0o711)
