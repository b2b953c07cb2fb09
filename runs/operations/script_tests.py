"""Script tests: one run of one package outside of its flow, with parameters that nobody saved."""

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from flows.access import require
from flows.parameters import ParameterError, check_values
from nodes.kinds.script import SCRIPT, problems_of
from nodes.models import Node
from nodes.tasks import Problem
from runs.engine.release import release
from runs.models import Run, TaskRun, Trigger
from runs.planning.planner import warehouse_pool_of
from runs.services import RunError
from runs.states import RunState
from runs.transitions import move_run, open_run, open_task_runs


def start_script_test(node: Node, *, actor: str, user: AbstractBaseUser | None = None) -> Run:
    """Run the package of an unsaved script node once, on the environment's current revision; the run.

    It belongs to no flow, so that no state, schedule or alert of the flow is touched by it. Parameters of the flow have
    their defaults. Raises RunError, PermissionDenied.
    """
    require("runs.add_run", "nodes.change_node")
    environment = node.flow.environment
    revision = environment.current_revision
    if revision is None or not revision.exists_on_disk:
        raise RunError(f"{environment} has not been synced yet.")
    problems: list[Problem] = list(problems_of(node, revision.project_dir))
    if problems:
        raise RunError(" ".join(problem.message for problem in problems))
    try:
        parameters = check_values(node.flow.parameters, {})
    except ParameterError as error:
        raise RunError(f"A test uses the defaults of the flow's parameters. {error}") from error
    with transaction.atomic():
        run = open_run(
            None,
            name=f"Test of {node.package}",
            environment=environment,
            actor=actor,
            trigger=Trigger.TEST,
            triggered_by=user,
            parameters=parameters,
            revision=revision,
        )
        move_run(run.pk, RunState.QUEUED, RunState.RUNNING, actor=actor, started_at=Now())
        key = f"script.{node.package}"
        task = TaskRun(
            run=run,
            node_name=node.name or node.package,
            kind=SCRIPT.name,
            unique_id=key,
            identifier=node.package,
            resource_type="script",
            warehouse_pool=warehouse_pool_of(revision) if node.uses_warehouse else "",
            spec={"unique_id": key, "timeout": node.timeout or settings.TASK_TIMEOUT_S, **SCRIPT.run_spec(node)},
        )
        open_task_runs([task], [], actor=actor)
    release(run.pk)
    return run
