"""Which of the two executors runs the resources of an environment, and what people read of them."""

from flows.models import Environment, Executor

#: How people read of it, after "executed".
WORDS = {Executor.SESSION: "in a dbt session", Executor.COMMAND: "by dbt commands"}


def executor_of(environment: Environment) -> str:
    """The executor of the runs that start now; a run keeps the one that it was planned with."""
    return environment.executor
