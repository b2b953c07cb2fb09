"""Which of the two executors runs the resources of an environment, and what people read of them."""

from flows.models import Executor, Revision

#: How people read of it, after "executed".
WORDS = {Executor.SESSION: "in a dbt session", Executor.COMMAND: "by dbt commands"}


def executor_of(revision: Revision) -> str:
    """The executor of a run of this revision, which keeps it: commands where sessions cannot run on its dbt."""
    if revision.runtime.get("no_session"):
        return Executor.COMMAND
    return revision.environment.executor
