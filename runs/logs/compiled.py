"""The compiled code of a task, as its session wrote it."""

from runs.logs import store


def compiled_sql(path: object) -> str:
    if not isinstance(path, str) or not path:
        return ""
    try:
        return store.read(path).code
    except ValueError:
        return ""
