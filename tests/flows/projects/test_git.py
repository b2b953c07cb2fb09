"""Repositories as dex meets them: real ones over files, HTTPS and SSH, and those that mean harm."""

import stat
import subprocess
import time
from pathlib import Path

import pytest

from flows.projects.git import Access, GitError, Repository, check_branch, check_subfolder, check_url
from tests.helpers.git_hosts import TOKEN, USER, Clone, git, https_host, ssh_host

pytestmark = pytest.mark.process

FILES = {"dbt_project.yml": "name: shop\n", "models/a.sql": "select 1", "run.sh": "#!/bin/sh\n"}


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path / "host").write(FILES)


def repository(tmp_path, source, **options) -> Repository:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return Repository(home, "project-1", str(source), **options)


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


# --- what may be named ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("https://host.example/team/shop.git", "https://host.example/team/shop.git"),
        (" https://host.example:8443/a/b ", "https://host.example:8443/a/b"),
        ("ssh://git@host.example:22/team/shop.git", "ssh://git@host.example:22/team/shop.git"),
        ("git@host.example:team/shop.git", "ssh://git@host.example/team/shop.git"),
    ],
)
def test_https_and_ssh_are_ways_to_a_repository(typed, url):
    assert check_url(typed) == url


@pytest.mark.parametrize(
    "url",
    [
        *("--upload-pack=touch X", "-c core.sshCommand=touch", "ext::sh -c 'touch X'", "ext::sh%20-c%20touch%20X"),
        *("file:///etc", "/etc/passwd", "http://host/x", "git://host/x", "ssh://-oProxyCommand=touch%20X/x"),
        *(
            "ssh://-oProxyCommand=x@host/x",
            "https://user:pass@host/x",
            "https://token@host/x",
            "https://",
            "https:///x",
        ),
        *("https://host", "https://host/", "https://host/x?y=1", "https://ho st/x", "https://host/x\nX: y"),
        *("ssh://host:99999/x", "https://-host/x", "-oProxyCommand=x:y", "fd::17/foo", "", "ssh://a;touch@host/x"),
    ],
)
def test_other_ways_and_secrets_in_urls_are_refused(url):
    with pytest.raises(GitError):
        check_url(url)


@pytest.mark.parametrize(
    "name",
    ["", "-x", "--upload-pack=x", "a..b", "a b", "a~1", "a^", "a:b", "@{-1}", "a/", "x.lock", ".a", "/a", "a\x00"],
)
def test_a_name_that_git_refuses_is_no_branch(name):
    with pytest.raises(GitError):
        check_branch(name)


@pytest.mark.parametrize("name", ["main", "feature/orders-2", "release/1.2", "übung", "a@b"])
def test_names_of_branches(name):
    assert check_branch(name) == name


def test_a_subfolder_stays_within_the_repository():
    assert check_subfolder(" /transform/shop/ ") == "transform/shop" and check_subfolder("") == ""
    for text in ("..", "a/../..", ".git", "a\\..\\b", "a\nb"):
        with pytest.raises(GitError):
            check_subfolder(text)


# --- commits as folders ---------------------------------------------------------------------------------------------
def test_the_newest_commit_of_a_branch_becomes_a_folder_that_nobody_writes_to(tmp_path, clone):
    sha = clone.push("first\n\nwith more")
    clone.write({"models/a.sql": "select 2"}).push("second", branch="other")
    made = repository(tmp_path, clone.bare)
    commit = made.fetch("main")
    assert (commit.sha, commit.subject, commit.author) == (sha, "first", "Ada")
    found = made.checkout(sha)
    assert files_of(found.folder) == set(FILES) and found.notes == ()
    assert (found.folder / "models/a.sql").read_text() == "select 1"
    assert (made.checkout(made.fetch("other").sha).folder / "models/a.sql").read_text() == "select 2"
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o222 for path in found.folder.rglob("*")}
    assert modes == {0}


def test_a_branch_may_take_the_name_that_was_a_folder_of_branches_and_back(tmp_path, clone):
    clone.push("first")
    made = repository(tmp_path, clone.bare)
    for before, after in (("feat", "feat/x"), ("feat/x", "feat"), ("feat", "feat/x/y")):
        sha = clone.push(f"on {before}", branch=before)
        assert made.fetch(before).sha == sha
        git(clone.work, "push", "-q", "origin", "--delete", before)
        sha = clone.push(f"on {after}", branch=after)
        assert made.fetch(after).sha == sha
        git(clone.work, "push", "-q", "origin", "--delete", after)


def test_branches_that_nobody_follows_any_more_are_forgotten(tmp_path, clone):
    clone.push("first")
    made = repository(tmp_path, clone.bare)
    for branch in ("a", "b", "c"):
        clone.push(branch, branch=branch)
        made.fetch(branch, keep=["a", "b", "c"])
    assert len(git(made.folder, "for-each-ref").splitlines()) == 3
    made.fetch("a", keep=["b"])
    assert len(git(made.folder, "for-each-ref").splitlines()) == 2


def test_a_branch_that_was_pushed_over_is_followed_and_old_checkouts_go(tmp_path, clone):
    made = repository(tmp_path, clone.bare)
    shas = []
    for number in range(6):
        clone.write({"models/a.sql": f"select {number}"})
        git(clone.work, "add", "-A")
        git(clone.work, "commit", "-q", "--amend" if number else "--allow-empty", "-m", f"v{number}")
        git(clone.work, "push", "-q", "--force", "origin", "HEAD:main")
        shas.append(made.fetch("main").sha)
        made.checkout(shas[-1])
        time.sleep(0.01)
    assert len(set(shas)) == 6
    assert {path.name for path in (tmp_path / "home/checkouts/project-1").iterdir()} == set(shas[-3:])


@pytest.mark.parametrize(
    ("branch", "said"), [("gone", "no branch of this name"), ("--upload-pack=touch X", "not a valid branch name")]
)
def test_a_missing_branch_is_reported(tmp_path, clone, branch, said):
    clone.push()
    with pytest.raises(GitError, match=said):
        repository(tmp_path, clone.bare).fetch(branch)


def test_a_missing_repository_is_reported_without_paths_of_dex(tmp_path):
    with pytest.raises(GitError, match="repository does not exist") as told:
        repository(tmp_path, tmp_path / "nowhere.git").fetch("main")
    assert "home" not in str(told.value)


# --- hosts ----------------------------------------------------------------------------------------------------------
def test_a_repository_is_fetched_over_https_with_a_token_that_nobody_sees(tmp_path, clone):
    sha = clone.push()
    seen: list[str] = []
    with https_host(clone.bare.parent) as (url, authority):
        trusted = {"GIT_SSL_CAINFO": str(authority)}
        good = Access(username=USER, token=TOKEN, environment=trusted)
        made = repository(tmp_path, f"{url}/shop.git", access=good)
        run, watched = made._git, []

        def watching(*command: str, **options: bool) -> bytes:
            watched.append(made._command(*command))
            seen.extend(f"{k}={v}" for k, v in made._environment(None).items())
            return run(*command, **options)

        made._git = watching
        assert made.fetch("main").sha == sha
        assert not any(TOKEN in word for words in watched for word in words) and not any(TOKEN in text for text in seen)
        for access in (Access(environment=trusted), Access(username=USER, token="wrong-token", environment=trusted)):
            with pytest.raises(GitError, match="rejected the user or the token") as told:
                repository(tmp_path, f"{url}/shop.git", access=access).fetch("main")
            assert "wrong-token" not in str(told.value)
        with pytest.raises(GitError, match="repository does not exist"):
            repository(tmp_path, f"{url}/other.git", access=good).fetch("main")
        with pytest.raises(GitError, match="does not trust the certificate"):
            repository(tmp_path, f"{url}/shop.git", access=Access(username=USER, token=TOKEN)).fetch("main")
    with pytest.raises(GitError, match="does not answer"):
        repository(tmp_path, f"{url}/shop.git", access=good).fetch("main")
    assert not list((tmp_path / "home/git").glob("access-*"))


def test_a_repository_is_fetched_over_ssh_from_a_known_host_alone(tmp_path, clone):
    sha = clone.push()
    with ssh_host(tmp_path / "sshd") as (url, key, known):
        source = f"{url}{clone.bare}"
        for _ in range(50):
            try:
                commit = repository(tmp_path, source, access=Access(private_key=key, known_hosts=known)).fetch("main")
                break
            except GitError:
                time.sleep(0.1)
        assert commit.sha == sha
        with pytest.raises(GitError, match="SSH key of the host is unknown"):
            repository(tmp_path, source, access=Access(private_key=key)).fetch("main")
        other = subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True
        )
        assert other.returncode == 0
        wrong = Access(private_key=(tmp_path / "other").read_text(), known_hosts=known)
        with pytest.raises(GitError, match="rejected the SSH key"):
            repository(tmp_path, source, access=wrong).fetch("main")


# --- repositories that mean harm ------------------------------------------------------------------------------------
def test_links_out_of_the_repository_are_left_out_and_told(tmp_path, clone):
    secret = tmp_path / "secret"
    secret.write_text("do not read")
    for name, target in {
        "dex-custom-scripts/job/__main__.py": str(secret),
        "models/up.sql": "../../../../../../etc/passwd",
        "models/own.sql": "a.sql",
        "models/git.sql": "../.git/config",
        "models/loop.sql": "loop.sql",
        "folder": "models",
    }.items():
        path = clone.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    made = repository(tmp_path, clone.bare)
    clone.push()
    found = made.checkout(made.fetch("main").sha)
    assert files_of(found.folder) == {*FILES, "models/own.sql"}
    assert (found.folder / "models/own.sql").read_text() == "select 1"
    assert not any(path.is_symlink() for path in found.folder.rglob("*"))
    assert sum("links to" in note for note in found.notes) == 5


def test_hooks_filters_attributes_and_submodules_have_no_effect(tmp_path, clone):
    mark = tmp_path / "mark"
    clone.write({".gitattributes": "*.sql filter=evil export-ignore\n*.sql ident\n", "models/b.sql": "select '$Id$'"})
    clone.write({".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = https://host/x\n'})
    sha = clone.push()
    git(clone.work, "update-index", "--add", "--cacheinfo", f"160000,{sha},x")
    git(clone.work, "commit", "-q", "-m", "a submodule")
    git(clone.work, "push", "-q", "origin", "HEAD:main")
    for hook in ("post-checkout", "post-update", "pre-receive", "upload-pack"):
        path = clone.bare / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {mark}\n")
        path.chmod(0o755)
    git(clone.bare, "config", "filter.evil.smudge", f"touch {mark}")
    git(clone.bare, "config", "uploadpack.packObjectsHook", f"touch {mark}")
    git(clone.bare, "config", "core.fsmonitor", f"touch {mark}")
    made = repository(tmp_path, clone.bare)
    found = made.checkout(made.fetch("main").sha)
    assert not mark.exists()
    assert (found.folder / "models/b.sql").read_text() == "select '$Id$'"
    assert [note for note in found.notes if "submodule" in note] and not (found.folder / "x").exists()


def test_a_submodule_that_wants_a_command_run_is_refused_on_the_way_in(tmp_path, clone):
    clone.write({".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = https://host/x\n\tupdate = !touch X\n'}).push()
    with pytest.raises(GitError, match="gitmodulesUpdate"):
        repository(tmp_path, clone.bare).fetch("main")


def test_trees_with_names_that_lead_elsewhere_are_refused_or_left_out(tmp_path, clone):
    clone.push()
    for name in ("..", ".git", ".GIT", "a\\b"):
        blob = git(clone.work, "hash-object", "-w", "models/a.sql")
        tree = subprocess.run(
            ["git", "mktree", "--missing"],
            input=f"100644 blob {blob}\t{name}\n",
            cwd=clone.work,
            capture_output=True,
            text=True,
            check=False,
        )
        if tree.returncode:
            continue
        commit = git(clone.work, "commit-tree", tree.stdout.strip(), "-m", "evil")
        git(clone.work, "push", "-q", "--force", "origin", f"{commit}:refs/heads/evil")
        made = repository(tmp_path, clone.bare)
        try:
            found = made.checkout(made.fetch("evil").sha)
        except GitError:
            continue  # fsck refused it on the way in
        assert files_of(found.folder) == set() and len(found.notes) == 1


def test_a_commit_with_too_much_in_it_is_refused(tmp_path, clone, monkeypatch):
    clone.write({f"data/{n}.csv": "x" * 1000 for n in range(30)}).push()
    made = repository(tmp_path, clone.bare)
    sha = made.fetch("main").sha
    monkeypatch.setattr("flows.projects.git.repository.MOST_FILES", 20)
    with pytest.raises(GitError, match="more than 20 files"):
        made.checkout(sha)
    monkeypatch.setattr("flows.projects.git.repository.MOST_FILES", 1000)
    monkeypatch.setattr("flows.projects.git.repository.MOST_BYTES", 10_000)
    with pytest.raises(GitError, match="MiB"):
        made.checkout(sha)
    assert not list((tmp_path / "home/checkouts/project-1").iterdir())


def test_a_text_that_is_no_commit_never_reaches_git(tmp_path, clone):
    made = repository(tmp_path, clone.bare)
    for text in ("--upload-pack=x", "main", "../x", "HEAD", "a" * 39):
        with pytest.raises(GitError, match="not a commit"):
            made.checkout(text)
    assert not Path("X").exists()
