"""Where the code of an environment comes from: a branch of a repository, or a folder as it is."""

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from flows.models import Environment, Project
from flows.projects import credentials
from flows.projects.git import Access, Commit, Repository, check_subfolder, head_of, is_repository

BESIDE = ("dex-custom-scripts", "dex-connectors")  # at the top of a repository, or in the dbt project itself


class SourceError(Exception):
    """The code of an environment cannot be had; the message says why."""


@dataclass(frozen=True)
class Source:
    """The folder with dbt_project.yml, what belongs to it from the top of the repository, and which commit it is."""

    folder: Path
    beside: tuple[Path, ...]
    commit: Commit | None
    is_pinned: bool  # whether the folder is just this commit, not a work tree that may hold more
    notes: tuple[str, ...] = ()
    top: Path = Path()  # of the repository, or of the folder


def source_of(environment: Environment) -> Source:
    """What the environment's branch or folder holds now; a branch is fetched first.

    Raises SourceError and GitError, Unreadable where the project's credentials cannot be decrypted.
    """
    project = environment.project
    subfolder = check_subfolder(project.subfolder)
    if not project.url and not environment.branch:
        root = Path(project.path)
        head = head_of(root)
        commit = Commit(head, "", "", "") if head else None
        return _source(root, subfolder, commit, is_pinned=False)
    if not project.url and not is_repository(Path(project.path)):
        raise SourceError(f"{project.path} is not a Git repository, so it has no branch {environment.branch}.")
    repository = repository_of(project)
    others = project.environments.exclude(branch="").values_list("branch", flat=True)
    commit = repository.fetch(environment.branch or "main", keep=[*others, "main"])
    folder = repository.checkout(commit.sha)
    return _source(folder.folder, subfolder, commit, is_pinned=True, notes=folder.notes)


def repository_of(project: Project) -> Repository:
    """The copy of a project's repository. Raises Unreadable."""
    access = Access(
        username=project.username,
        token=credentials.value_of(project, "token"),
        private_key=credentials.value_of(project, "private_key"),
        known_hosts=project.known_hosts,
        environment=settings.GIT_ENVIRONMENT,
    )
    name = f"project-{project.pk}"
    source = project.url or project.path
    return Repository(Path(settings.DEX_HOME), name, source, access, timeout=settings.GIT_TIMEOUT_S)


def _source(
    root: Path, subfolder: str, commit: Commit | None, *, is_pinned: bool, notes: tuple[str, ...] = ()
) -> Source:
    folder = root / subfolder
    if not (folder / "dbt_project.yml").is_file():
        where = f"the folder {subfolder}" if subfolder else "the top"
        whole = f"commit {commit.sha[:10]}" if is_pinned and commit else root
        raise SourceError(f"There is no dbt_project.yml in {where} of {whole}.")
    beside = tuple(root / name for name in BESIDE) if subfolder else ()
    return Source(folder, beside, commit, is_pinned, notes, root)
