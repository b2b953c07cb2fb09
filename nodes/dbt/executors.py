"""Which of the two executors runs the resources of an environment, and what people read of them."""

from flows.models import Environment


def executor_of(environment: Environment) -> str:
    """The executor of the runs that start now; a run keeps the one that it was planned with."""
    return environment.executor
