"""The compiled code of a task, as its session wrote it."""

from runs.logs import store


def compiled_sql(path: object) -> str:
    """The compiled code at a path of the store; empty where there is none."""
    if not isinstance(path, str) or not path:
        return ""
    try:
        return store.read(path).code
    except ValueError:
        return ""
