"""Git: what may be named, and commits as read-only folders."""

from flows.projects.git.access import Access
from flows.projects.git.changes import files_of_commit
from flows.projects.git.checks import GitError, check_branch, check_subfolder, check_url
from flows.projects.git.folders import head_of, is_repository
from flows.projects.git.repository import Checkout, Commit, Repository

__all__ = [
    "Access",
    "Checkout",
    "Commit",
    "GitError",
    "Repository",
    "check_branch",
    "check_subfolder",
    "check_url",
    "files_of_commit",
    "head_of",
    "is_repository",
]
