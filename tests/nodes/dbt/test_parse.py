"""From a project folder to a parsed copy of it."""

import json
import shutil
import subprocess
import threading

import pytest

from flows.projects.git import head_of
from nodes.dbt import parse, profiles, working_copy
from tests.helpers.paths import SAMPLE
from tests.helpers.waiting import within

pytestmark = pytest.mark.process

# --- the copy -----------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "mine"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: mine\nversion: '1.0'\nprofile: mine\n")
    (folder / "models" / "one.sql").write_text("select 1 as id")
    return folder


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("models/two.sql", True),
        ("models/logs/two.sql", True),
        ("dbt_packages/p/dbt_project.yml", True),
        ("target/manifest.json", False),
        ("logs/dbt.log", False),
        (".git/HEAD", False),
        (".venv/x.py", False),
        ("models/__pycache__/x.pyc", False),
        ("dev.duckdb", False),
    ],
)
def test_only_what_dbt_would_read_changes_the_fingerprint(project, name, counts):
    before = working_copy.fingerprint(project)
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text("x")
    assert (working_copy.fingerprint(project) != before) is counts


def test_a_changed_line_and_a_moved_file_change_the_fingerprint(project):
    first = working_copy.fingerprint(project)
    (project / "models" / "one.sql").rename(project / "models" / "uno.sql")
    second = working_copy.fingerprint(project)
    (project / "models" / "uno.sql").write_text("select 2 as id")
    assert len({first, second, working_copy.fingerprint(project)}) == 3


def test_a_copy_has_the_same_fingerprint_and_leaves_links_to_elsewhere_out(project, tmp_path):
    (tmp_path / "passwords").write_text("secret")
    (project / "models" / "leak.sql").symlink_to(tmp_path / "passwords")
    (project / "models" / "again.sql").symlink_to("one.sql")
    copy = working_copy.take(project, tmp_path / "copy")
    assert not (copy / "models" / "leak.sql").exists()
    assert (copy / "models" / "again.sql").read_text() == "select 1 as id"
    assert not (copy / "models" / "again.sql").is_symlink()
    assert working_copy.outside_links(project) == ["models/leak.sql"]
    assert working_copy.fingerprint(copy) == working_copy.fingerprint(project)


def test_a_copy_that_fails_leaves_nothing(project, tmp_path, monkeypatch):
    monkeypatch.setattr(working_copy, "MOST_BYTES", 10)
    with pytest.raises(working_copy.SnapshotError, match="more than"):
        working_copy.take(project, tmp_path / "copies" / "c")
    assert list((tmp_path / "copies").iterdir()) == []


def test_the_commit_is_read_from_git(project):
    assert head_of(project) is None
    git = ["git", "-C", str(project), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert head_of(project) is None
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert head_of(project / "models") == head
    subprocess.run([*git, "pack-refs", "--all"], check=True)
    assert head_of(project) == head
    subprocess.run([*git, "checkout", "-q", "--detach"], check=True)
    assert head_of(project) == head
    subprocess.run([*git, "worktree", "add", "-q", str(project.parent / "tree"), "-b", "other"], check=True)
    assert head_of(project.parent / "tree") == head


# --- the profile --------------------------------------------------------------------------------------------


def test_a_profile_is_read_without_dbt(tmp_path):
    (tmp_path / "profiles.yml").write_text(
        """
shop:
  target: "{{ env_var('WHERE', 'dev') }}"
  outputs:
    dev: {type: duckdb, path: "data/{{ env_var('NAME') }}.duckdb", threads: 3}
    prod:
      type: postgres
      port: "{{ env_var('PORT', '5432') | as_number }}"
      password: "{{ env_var('DBT_ENV_SECRET_P') }}"
      keepalives: {private_key: also-secret}
"""
    )
    env = {"NAME": "x", "DBT_ENV_SECRET_P": "hunter22"}
    dev = profiles.describe(tmp_path, "shop", env=env, database_dir=tmp_path)
    assert (dev.type, dev.target, dev.threads, dev.database) == ("duckdb", "dev", 3, f"{tmp_path}/data/x.duckdb")
    prod = profiles.describe(tmp_path, "shop", env={**env, "WHERE": "prod"})
    assert (prod.type, prod.database, prod.secrets) == ("postgres", None, ("also-secret", "hunter22"))
    assert "hunter22" not in repr(prod)


@pytest.mark.parametrize(
    ("content", "target", "complaint"),
    [
        ("shop: {outputs: {dev: {type: duckdb}}}", "prod", "has no target 'prod'; it has dev"),
        ("other: {}", None, "no profile 'shop'"),
        ("shop: [", None, "not valid YAML"),
        ("shop: {target: d, outputs: {d: {type: \"{{ env_var('NOPE') }}\"}}}", None, "NOPE is required"),
        ("shop: {target: d, outputs: {d: {type: '{{ x.y.z }}'}}}", None, "cannot be filled in"),
        ("shop: {target: d, outputs: {d: {type: \"{{ ''.__class__.__mro__ }}\"}}}", None, "cannot be filled in"),
    ],
)
def test_a_profile_that_cannot_be_used_says_why(tmp_path, content, target, complaint):
    (tmp_path / "profiles.yml").write_text(content)
    with pytest.raises(profiles.ProfileError, match=complaint):
        profiles.describe(tmp_path, "shop", target)


# --- the parse ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def sample(home):
    return parse.parse_project(SAMPLE, home=home)


def test_the_sample_project_is_parsed_without_a_warning_and_without_a_trace(sample):
    manifest = json.loads(sample.manifest_path.read_text())
    models = {node["name"]: node["tags"] for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    assert models == {
        "stg_customers": ["staging"],
        "stg_orders": ["staging"],
        "stg_payments": ["staging"],
        "mart_revenue": ["mart", "revenue"],
        "mart_customers": ["mart"],
        "mart_orders": ["mart", "orders"],
    }
    assert sample.warnings == ()
    assert (sample.target_dir / "partial_parse.msgpack").is_file()
    assert not (SAMPLE / "target").exists()
    assert not (SAMPLE / "logs").exists()


def test_every_model_and_column_of_the_sample_is_described(sample):
    manifest = json.loads(sample.manifest_path.read_text())
    models = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed")]
    assert all(node["description"] for node in models)
    assert all(column["description"] for node in models for column in node["columns"].values())


def test_the_same_content_is_parsed_once(sample, home):
    with within(1):
        assert parse.parse_project(SAMPLE, home=home) == sample


def test_callers_at_the_same_time_parse_once(project, home, monkeypatch):
    begun = []
    real = parse._parse
    monkeypatch.setattr(parse, "_parse", lambda *args: begun.append(1) or real(*args))
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(parse.parse_project(project, home=home))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
    assert len({answer.manifest_path for answer in answers}) == 1
    assert answers[0].profile.type == "duckdb"  # the project has no profiles.yml: dex made one
    assert not (project / "profiles.yml").exists()


def test_a_parse_error_is_shown_in_the_words_of_dbt_and_nothing_is_kept(sample, home, tmp_path):
    broken = shutil.copytree(SAMPLE, tmp_path / "broken")
    (broken / "models" / "marts" / "mart_orders.sql").write_text("select {{ ref('nowhere') }}")
    kept = {path.name for path in (home / "dbt").iterdir() if path.is_dir()}
    with pytest.raises(parse.ParseError) as caught:
        parse.parse_project(broken, home=home)
    assert (
        "(models/marts/mart_orders.sql) depends on a node named 'nowhere' which was not found" in caught.value.message
    )
    assert "Traceback" not in caught.value.message
    assert str(home) not in caught.value.message + caught.value.log
    assert {path.name for path in (home / "dbt").iterdir() if path.is_dir()} == kept


def test_a_parse_that_takes_too_long_is_given_up(project, home):
    (project / "models" / "hang.sql").write_text(
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    )
    with pytest.raises(parse.ParseError, match=r"longer than 0\.5 seconds"):
        parse.parse_project(project, home=home, timeout=0.5)


def test_a_folder_that_is_no_project_is_refused_at_once(tmp_path, home):
    with pytest.raises(parse.ParseError, match=r"has no dbt_project\.yml"):
        parse.parse_project(tmp_path, home=home)


def test_packages_are_installed_into_the_copy(project, home, tmp_path):
    package = tmp_path / "package"
    (package / "macros").mkdir(parents=True)
    (package / "dbt_project.yml").write_text("name: helpful\nversion: '1.0'\nprofile: none\n")
    (package / "macros" / "m.sql").write_text("{% macro seven() %}7{% endmacro %}")
    (project / "packages.yml").write_text(f"packages:\n  - local: {package}\n")
    (project / "models" / "uses.sql").write_text("select {{ helpful.seven() }} as id")
    parsed = parse.parse_project(project, home=home)
    assert "macro.helpful.seven" in json.loads(parsed.manifest_path.read_text())["macros"]
    assert not (project / "dbt_packages").exists()
