"""What people do to projects and environments."""

from pathlib import Path

from django.core.exceptions import ValidationError

from flows.projects.git import is_repository


def check_folder(text: str, subfolder: str = "") -> Path:
    """The folder that `text` names, absolute. Raises ValidationError unless it (its subfolder) holds a dbt project."""
    try:
        folder = _absolute(text)
        if folder.name == "dbt_project.yml" and folder.is_file():
            raise ValidationError(f"{folder} is a file; enter its folder, {folder.parent}.")
        if not folder.is_dir():
            raise ValidationError(f"The folder {folder} does not exist on this machine, or dex cannot read it.")
        if not (folder / subfolder / "dbt_project.yml").is_file():
            raise ValidationError(f"{folder / subfolder} has no dbt_project.yml; enter the folder of the dbt project.")
        return folder.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # no permission, a name too long, a user that is unknown
        raise ValidationError(f"dex cannot open the folder {text[:200]}: {error}") from error


def check_repository(text: str) -> Path:
    """The local repository that `text` names, absolute. Raises ValidationError for anything else."""
    try:
        folder = _absolute(text)
        if is_repository(folder):
            return folder.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ValidationError(f"dex cannot open the folder {text[:200]}: {error}") from error
    raise ValidationError(f"{folder} is not a Git repository.")


def _absolute(text: str) -> Path:
    folder = Path(text).expanduser()
    if not folder.is_absolute():
        raise ValidationError(f"{text} is not an absolute path.")
    return folder
