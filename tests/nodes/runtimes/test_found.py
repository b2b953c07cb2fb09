"""What a repository says about its dbt, in any of the usual files, and what is proposed from it."""

import pytest

from nodes.runtimes.found import look
from nodes.runtimes.proposals import propose

pytestmark = pytest.mark.process
PROJECT = "name: shop\nprofile: shop\n"


def told(tmp_path, files, subfolder="", kind="duckdb"):
    for name, text in {f"{subfolder}dbt_project.yml": PROJECT, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return look(tmp_path / subfolder, tmp_path, kind, {})


@pytest.mark.parametrize(
    ("name", "text", "dbt", "constraints"),
    [
        ("requirements.txt", "flask\n", [], []),
        (
            "requirements.txt",
            "# ours\n-r other.txt\nDjango==5.0  # web\ndbt-core==1.9.1 \\\n  --hash=sha256:aa\ndbt_duckdb>=1.9\n"
            "six>1\n",
            ["dbt-core==1.9.1", "dbt_duckdb>=1.9"],
            ["django==5.0", "six>1"],
        ),
        ("dbt-requirements.txt", "dbt-snowflake[x]~=1.9.0\n", ["dbt-snowflake[x]~=1.9.0"], []),
        (
            "pyproject.toml",
            '[project]\ndependencies = ["flask"]\n[dependency-groups]\n'
            'dbt = ["dbt-core~=1.10.0", "dbt-trino", "pytz<2030"]\n',
            ["dbt-core~=1.10.0", "dbt-trino"],
            ["pytz<2030"],
        ),
        (
            "pyproject.toml",
            '[project]\ndependencies = ["dbt-duckdb"]\n[project.optional-dependencies]\nx = ["dbt-trino"]\n',
            ["dbt-duckdb"],
            [],
        ),
        (
            "pyproject.toml",
            '[tool.poetry.dependencies]\npython = "^3.11"\ndbt-core = "^1.9.1"\ndbt-postgres = {version = "~1.9", '
            'extras = ["x"]}\nsix = "*"\n',
            ["dbt-core<2,>=1.9.1", "dbt-postgres[x]<1.10,>=1.9"],
            ["python<4,>=3.11"],
        ),
        (
            "pyproject.toml",
            '[tool.poetry.group.dbt.dependencies]\ndbt-core = "1.9.1"\ndbt-duckdb = ">=1.9,<2"\n',
            ["dbt-core==1.9.1", "dbt-duckdb<2,>=1.9"],
            [],
        ),
    ],
)
def test_packages_of_dbt_are_taken_and_the_rest_are_versions_that_hold(tmp_path, name, text, dbt, constraints):
    found = told(tmp_path, {name: text})
    assert (found["dbt"], found["constraints"], found["problem"]) == (dbt, constraints, "")
    assert found["file"] == (name if dbt else "")


def test_the_first_file_with_dbt_in_it_counts_that_beside_the_project_before_that_at_the_top(tmp_path):
    files = {"requirements.txt": "dbt-trino", "transform/pyproject.toml": '[project]\ndependencies = ["flask"]\n'}
    assert told(tmp_path, files, "transform/")["file"] == "requirements.txt"
    assert told(tmp_path, {"transform/requirements.txt": "dbt-duckdb"}, "transform/")["file"] == (
        "transform/requirements.txt"
    )
    found = told(tmp_path, {"transform/dbt-requirements.txt": "dbt-spark"}, "transform/")
    assert (found["file"], found["dbt"]) == ("transform/dbt-requirements.txt", ["dbt-spark"])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("requirements.txt", "git+https://host/dbt-core\n", "is not a package with versions"),
        ("requirements.txt", "dbt-core @ https://host/x.whl\n", "is not a package with versions"),
        ("pyproject.toml", "[project\n", "pyproject.toml is not valid TOML"),
        ("pyproject.toml", '[tool.poetry.dependencies]\ndbt-core = {git = "https://h/x"}\n', "is not a package"),
        ("requirements.txt", "a" * (2 * 1024 * 1024), "is larger than"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path, name, text, said):
    found = told(tmp_path, {name: text})
    assert said in found["problem"] and (not said or found["file"] == name)


def test_a_link_out_of_the_repository_is_not_followed(tmp_path):
    (tmp_path / "outside.txt").write_text("dbt-duckdb")
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "requirements.txt").symlink_to(tmp_path / "outside.txt")
    assert told(tmp_path / "repo", {})["dbt"] == []


def of(kind, *require, **more):
    return {"type": kind, "require": list(require), "file": "", "dbt": [], "constraints": [], "problem": "", **more}


HERE = ("1.11.16", ("duckdb", "postgres"))


@pytest.mark.parametrize(
    ("environments", "requirements"),
    [
        ([of("duckdb")], None),
        ([of("postgres", ">=1.0.0", "<2.0.0")], None),
        ([], None),
        ([of("snowflake")], ("dbt-core~=1.11.0", "dbt-snowflake")),
        ([of("duckdb"), of("snowflake")], ("dbt-core~=1.11.0", "dbt-duckdb", "dbt-snowflake")),
        ([of("duckdb", ">=1.8.0,<1.9.0")], ("dbt-core>=1.8.0,<1.9.0", "dbt-duckdb")),
        ([of("trino", "1.10.3")], ("dbt-core==1.10.3", "dbt-trino")),
        ([of("trino", "=1.10.3")], ("dbt-core==1.10.3", "dbt-trino")),
        ([of("mariadb")], ("dbt-core~=1.11.0", "dbt-mysql")),
    ],
)
def test_the_adapter_follows_from_the_profile_and_the_version_from_the_project(environments, requirements):
    proposal = propose({str(n): each for n, each in enumerate(environments)}, *HERE)
    assert (proposal and proposal.requirements) == requirements and not (proposal and proposal.problem)


def test_a_file_of_the_repository_goes_before_what_would_be_put_together():
    found = {"1": of("snowflake", file="requirements.txt", dbt=["dbt-core==1.10.1", "dbt-snowflake"])}
    proposal = propose(found, *HERE)
    assert (proposal.file, proposal.requirements) == ("requirements.txt", ("dbt-core==1.10.1", "dbt-snowflake"))


@pytest.mark.parametrize(
    ("require", "said"),
    [(">=2.0.0", "dex runs dbt 1.8 to 1.12"), ("<1.5", "dex runs dbt 1.8"), ("newest", "is not a condition such as")],
)
def test_a_version_that_dex_does_not_run_is_said(require, said):
    assert said in propose({"1": of("duckdb", require)}, *HERE).problem


def test_what_dbt_project_yml_requires_is_read(tmp_path):
    found = told(tmp_path, {"dbt_project.yml": f'{PROJECT}require-dbt-version: [">=1.9.0", "<1.11.0"]\n'})
    assert found["require"] == [">=1.9.0", "<1.11.0"]
    (tmp_path / "dbt_project.yml").write_text(f'{PROJECT}require-dbt-version: ">=1.9.0,<1.11.0"\n')
    assert look(tmp_path, tmp_path, "", {})["require"] == [">=1.9.0,<1.11.0"]
