"""Forms of projects and environments: what is wrong is said beside the field where it was typed."""

from pathlib import Path
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from flows.models import Environment, Project
from flows.projects import credentials
from flows.projects.git import GitError, check_branch, check_subfolder, check_url, is_repository
from flows.projects.services import check_folder, check_repository
from flows.variables.sealed import problem_of

SECRET = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
KEPT = "Stored encrypted and never shown again. Leave empty to keep the current value."


class ProjectForm(forms.ModelForm):
    """A repository or a folder, looked at when it is typed, not when a run fails."""

    new_token = forms.CharField(
        label="Token",
        required=False,
        strip=True,
        max_length=4000,
        widget=forms.PasswordInput(attrs=SECRET),
        help_text=f"For HTTPS: a token with read access to the repository. {KEPT}",
    )
    new_private_key = forms.CharField(
        label="Private key",
        required=False,
        strip=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={**SECRET, "rows": 3}),
        help_text=f"For SSH, without a passphrase. {KEPT}",
    )
    forget = forms.BooleanField(label="Remove token and private key", required=False)

    class Meta:
        model = Project
        fields: ClassVar = ["name", "url", "path", "subfolder", "username", "known_hosts"]
        widgets: ClassVar = {"known_hosts": forms.Textarea(attrs={"rows": 2, "spellcheck": "false"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in ("token", "private_key"):
            if self.instance.pk and (wrong := problem_of(self.instance, field)):
                self.fields[f"new_{field}"].help_text = f"dex cannot read the stored value: {wrong}. Enter it again."

    def clean_url(self) -> str:
        """A URL that Git may be given."""
        try:
            return check_url(self.cleaned_data["url"]) if self.cleaned_data["url"] else ""
        except GitError as error:
            raise ValidationError(str(error)) from error

    def clean_subfolder(self) -> str:
        """A folder within the project."""
        try:
            return check_subfolder(self.cleaned_data["subfolder"])
        except GitError as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """One source; a folder that holds a dbt project, or a repository of which branches do."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        if cleaned["url"] and cleaned["path"]:
            self.add_error("path", "Enter a repository or a folder, not both.")
        elif not cleaned["url"] and not cleaned["path"]:
            self.add_error("path", "Enter the URL of a repository or a folder on this machine.")
        elif cleaned["path"]:
            try:
                cleaned["path"] = str(_folder(cleaned["path"], cleaned["subfolder"]))
            except ValidationError as error:
                self.add_error("path", error)
        if cleaned["url"].startswith("ssh:") and not cleaned["known_hosts"].strip():
            self.add_error(
                "known_hosts",
                "Paste the line of the host as printed by ssh-keyscan. dex does not connect to unknown hosts.",
            )
        return cleaned

    def keep_secrets(self, project: Project) -> None:
        """Encrypt what was typed into the fields that are never shown. Raises encryption.Unreadable."""
        for field in ("token", "private_key"):
            typed = self.cleaned_data[f"new_{field}"]
            if typed.strip() or self.cleaned_data["forget"]:
                credentials.keep(project, field, typed if typed.strip() else "")


def _folder(path: str, subfolder: str) -> Path:
    """The folder, absolute: with a dbt project in its subfolder, or a repository without a work tree."""
    try:
        repository = check_repository(path)
    except ValidationError:
        return check_folder(path, subfolder)
    return check_folder(path, subfolder) if (repository / ".git").exists() else repository


class EnvironmentForm(forms.ModelForm):
    """A branch or folder, and the warehouse: the project's profiles.yml, or fields of one."""

    class Meta:
        model = Environment
        fields: ClassVar = ["project", "name", "branch", "sync_every", "threads", "executor", "target"]

    def clean_branch(self) -> str:
        """A name that a branch may have."""
        try:
            return check_branch(self.cleaned_data["branch"]) if self.cleaned_data["branch"] else ""
        except GitError as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """A repository needs a branch; a folder that is no repository has none."""
        cleaned = super().clean() or {}
        project, branch = cleaned.get("project"), cleaned.get("branch", "")
        if project and project.url and not branch:
            cleaned["branch"] = "main"
        elif project and project.path and branch and not is_repository_at(project):
            self.add_error("branch", f"{project.path} is not a Git repository; leave the branch empty.")
        elif project and project.path and not branch and is_bare(project):
            self.add_error("branch", "The repository has no work tree; enter a branch.")
        return cleaned


def is_repository_at(project: Project) -> bool:
    """Whether the folder of a project is a Git repository."""
    return is_repository(Path(project.path))


def is_bare(project: Project) -> bool:
    """Whether it is a repository without a work tree."""
    return is_repository_at(project) and not (Path(project.path) / ".git").exists()
