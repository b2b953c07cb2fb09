"""A folder that is taken as it is names what it holds: its commit, and that it holds something else than it."""

import os
import subprocess

import pytest

from flows.models import Environment, Project, Revision
from flows.projects.git import files_of_commit
from nodes.dbt import working_copy
from nodes.services.sync import sync
from tests.helpers.engines import write_project

pytestmark = pytest.mark.process


def git(folder, *words):
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@localhost", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def work_tree(tmp_path):
    """A repository with a dbt project in a folder of it, committed."""
    root = tmp_path / "repository"
    write_project(root / "transform", {"a": "select 1 as id"}, **{".gitignore": "target/\n"})
    (root / "README.md").write_text("of the whole repository\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return root


@pytest.mark.django_db
def test_two_contents_of_a_folder_at_one_commit_have_two_names(work_tree):
    project = Project.objects.create(name="shop", path=str(work_tree), subfolder="transform")
    environment = Environment.objects.create(project=project, name="folder")
    sha = git(work_tree, "rev-parse", "HEAD")
    clean = sync(environment)
    assert str(clean) == sha[:10] and clean.in_full == f"commit {sha}"
    names = []
    for number in (2, 3):
        (work_tree / "transform" / "models" / "a.sql").write_text(f"select {number} as id")
        revision = sync(environment)
        assert str(revision) == f"{sha[:10]} + local changes {revision.fingerprint[:10]}"
        names.append(str(revision))
    assert len(set(names)) == 2
    git(work_tree, "commit", "-qam", "fixed")
    committed = sync(environment)
    assert committed.pk == revision.pk and str(committed) == git(work_tree, "rev-parse", "HEAD")[:10]


@pytest.fixture
def changed(work_tree, tmp_path):
    folder = work_tree / "transform"

    def asked():
        return working_copy.differs(
            folder, files_of_commit(folder, git(work_tree, "rev-parse", "HEAD"), tmp_path / "home")
        )

    return asked


def test_a_file_that_dbt_does_not_read_is_no_change(work_tree, changed):
    assert not changed()
    (work_tree / "README.md").write_text("another")
    for path in ("target/manifest.json", "logs/dbt.log", "models/__pycache__/x.pyc", "local.duckdb"):
        (work_tree / "transform" / path).parent.mkdir(parents=True, exist_ok=True)
        (work_tree / "transform" / path).write_text("made by a tool")
    assert not changed()
    model = work_tree / "transform" / "models" / "a.sql"
    model.write_bytes(model.read_bytes().replace(b"\n", b"\r\n"))
    assert not changed()


@pytest.mark.parametrize("change", ["edited", "staged", "untracked", "gone", "ignored"])
def test_a_file_that_dbt_reads_and_the_commit_lacks_is_a_change(work_tree, changed, change):
    models = work_tree / "transform" / "models"
    match change:
        case "edited":
            (models / "a.sql").write_text("select 2 as id")
        case "staged":
            (models / "a.sql").write_text("select 2 as id")
            git(work_tree, "add", "-A")
        case "untracked":
            (models / "b.sql").write_text("select 2 as id")
        case "gone":
            (models / "a.sql").unlink()
        case "ignored":
            (models / "target").mkdir()
            (models / "target" / "c.sql").write_text("select 3 as id")
    assert changed()


def test_when_changes_cannot_be_detected_the_content_is_named_beside_the_commit(work_tree, tmp_path, monkeypatch):
    sha = git(work_tree, "rev-parse", "HEAD")
    assert files_of_commit(work_tree, "0" * 40, tmp_path / "home") is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert files_of_commit(work_tree, sha, tmp_path / "home") is None
    project = Project(name="shop", path=str(work_tree))
    revision = Revision(environment=Environment(project=project), commit=sha, fingerprint="f" * 64, local_changes=None)
    assert str(revision) == f"{sha[:10]} + folder {'f' * 10}" and "possibly" in revision.in_full


def test_settings_of_a_repository_start_nothing(work_tree, changed, tmp_path):
    trap = tmp_path / "trap"
    (tmp_path / "run").write_text(f"#!/bin/sh\ntouch {trap}\n")
    (tmp_path / "run").chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "filter.x.clean", "diff.external", "core.sshCommand"):
        git(work_tree, "config", key, str(tmp_path / "run"))
    (work_tree / ".gitattributes").write_text("* filter=x\n")
    os.utime(work_tree / "transform" / "models" / "a.sql", (1, 1))
    changed()
    assert not trap.exists()
