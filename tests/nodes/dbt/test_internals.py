"""What dex relies on inside dbt, checked against the version that is installed: fails first after an upgrade."""

import inspect
import shutil
import sys
from functools import partial
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from dbt.adapters.base import BaseAdapter
from dbt.adapters.base.connections import BaseConnectionManager
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.duckdb.environments import Environment
from dbt.cli.requires import _bridge_v2_catalogs
from dbt.config.catalogs import load_catalogs_v2
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import ModelNode
from dbt.parser.manifest import parse_manifest
from dbt.task import run
from dbt.task.build import BuildTask
from dbt_common.events import event_manager, event_manager_client
from dbt_common.exceptions import base as exceptions

from flows.infra import process
from nodes.dbt.execution import Execution
from nodes.dbt.internals import project, task, versions
from nodes.dbt.runtime import CODE
from tests.helpers.paths import SAMPLE
from tests.helpers.waiting import patience

pytestmark = pytest.mark.process


def test_the_version_is_the_one_that_was_read():
    assert version("dbt-core").startswith("1.12.")


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (_bridge_v2_catalogs, ["runtime_config", "catalogs_v2"]),
        (load_catalogs_v2, ["project_dir", "project_name", "cli_vars"]),
        (parse_manifest, ["runtime_config", "write_perf_info", "write", "write_json", "active_integrations"]),
        (BuildTask.__init__, ["self", "args", "config", "manifest", "catalogs"]),
        (BuildTask.before_run, ["self", "adapter", "selected_uids"]),
        (BuildTask.after_run, ["self", "adapter", "results"]),
        (BuildTask.populate_adapter_cache, ["self", "adapter", "required_schemas"]),
        (BuildTask.get_hooks_by_type, ["self", "hook_type"]),
        (BuildTask.get_runner, ["self", "node"]),
        (BuildTask.call_runner, ["self", "runner", "parent_context"]),
        (BuildTask._handle_thread_exception, ["self", "runner", "thread_exception"]),
        (run.MicrobatchModelRunner.set_parent_task, ["self", "parent_task"]),
        (run.MicrobatchModelRunner.set_pool, ["self", "pool"]),
        (event_manager.EventManager.fire_event, ["self", "e", "level", "node", "force_warn_or_error_handling"]),
        (event_manager_client.ctx_set_event_manager, ["event_manager"]),
        (DuckDBConnectionManager.cancel, ["self", "connection"]),
        (DuckDBConnectionManager.env, []),
        (Manifest.expect, ["self", "unique_id"]),
        (BaseAdapter._make_match, ["self", "relations_list", "database", "schema", "identifier"]),
    ],
)
def test_what_is_called_takes_what_it_is_given(function, parameters):
    assert list(inspect.signature(function).parameters) == parameters


def test_microbatch_asks_nothing_of_its_task_and_pool_that_it_does_not_get():
    source = inspect.getsource(BuildTask._submit_batch) + inspect.getsource(run.MicrobatchModelRunner)
    for asked in ("self.job_queue.in_progress", "pool.max_threads", "pool.is_closed()", "self.pool.is_closed()"):
        assert asked in source
    for given in ("apply_async", "is_closed"):
        assert hasattr(task.Batches, given)
    assert "in_progress_microbatch" not in source


def test_what_is_taken_out_of_the_way_is_still_there():
    assert callable(run.track_model_run)
    assert "track_model_run(" in inspect.getsource(run.ModelRunner.after_execute)
    assert callable(exceptions.env_secrets)
    assert "env_secrets()" in inspect.getsource(exceptions.DbtRuntimeError)


def test_connections_are_kept_by_thread():
    source = inspect.getsource(BaseConnectionManager)
    assert "return os.getpid(), get_ident()" in source
    assert "self.thread_connections" in source
    assert hasattr(Environment, "close")


def test_a_fresh_node_shares_nothing_that_running_it_changes():
    fields = ModelNode.__dataclass_fields__
    assert {"extra_ctes", "extra_ctes_injected", "compiled", "compiled_code", "_event_status"} <= set(fields)
    assert isinstance(ModelNode.all_constraints, property)


def test_the_project_offers_what_the_session_uses():
    for name in ("begin", "execute", "end", "interrupt", "release", "close"):
        assert inspect.signature(getattr(project.Project, name))


def test_files_that_are_not_written_are_written_by_one_function():
    import dbt.contracts.graph.nodes as nodes

    assert callable(nodes.write_file)
    assert "write_file(" in inspect.getsource(nodes.ParsedNode.write_node)


def test_debug_events_can_wait_for_a_reader():
    from dbt_common.events.base_types import BaseEvent, DebugLevel

    assert "self.pb_msg = ParseDict" in inspect.getsource(BaseEvent.__init__)
    assert "__init__" not in vars(DebugLevel) and "pb_msg" not in vars(DebugLevel)


def test_hooks_and_the_names_of_connections_are_where_they_were():
    from dbt.adapters.postgres.connections import PostgresConnectionManager, PostgresCredentials
    from dbt.task.run import RunTask

    assert list(inspect.signature(RunTask.safe_run_hooks).parameters) == [
        "self",
        "adapter",
        "hook_type",
        "extra_context",
    ]
    assert "application_name" in PostgresCredentials.__dataclass_fields__
    assert "cls.get_credentials(connection.credentials)" in inspect.getsource(PostgresConnectionManager.open)


def test_what_a_project_reads_of_its_invocation_is_kept_where_it_is_replaced():
    import dbt.flags
    import dbt_common.invocation
    from dbt import selected_resources, tracking
    from dbt.cli import flags
    from dbt.context import base, providers

    assert "GLOBAL_FLAGS" in inspect.getsource(dbt.flags.get_flag_dict)
    assert "GLOBAL_FLAGS" in inspect.getsource(dbt.flags.get_flag_obj)
    assert "args_to_dict(self.config.args)" in inspect.getsource(providers.ProviderContext)
    assert "selected_resources.SELECTED_RESOURCES" in inspect.getsource(providers.ModelContext.__mro__[1])
    assert "tracking.active_user.run_started_at" in inspect.getsource(base.BaseContext)
    assert callable(selected_resources.set_selected_resources) and callable(tracking.initialize_from_flags)
    assert hasattr(dbt_common.invocation, "_INVOCATION_ID") and hasattr(dbt_common.invocation, "_INVOCATION_STARTED_AT")
    assert "self.set_common_global_flags()" in inspect.getsource(flags.Flags.__init__)
    assert list(inspect.signature(flags.args_to_context).parameters) == ["args"]


def test_batches_are_computed_told_and_continued_where_that_is_replaced():
    runner = run.MicrobatchModelRunner
    assert "batches = self.get_batches(model=model)" in inspect.getsource(runner.execute)
    assert "previous_batch_results" in inspect.getsource(runner.merge_batch_results)
    assert "self.parent_task.original_invocation_started_at" in inspect.getsource(runner.get_microbatch_builder)
    assert "model.config.full_refresh is not None" in inspect.getsource(runner._is_incremental)
    assert "self._build_failed_run_batch_result(" in inspect.getsource(
        run.MicrobatchBatchRunner._execute_microbatch_materialization
    )
    assert "r.thread_id" in inspect.getsource(BuildTask.after_run)


@pytest.mark.parametrize("status", ["partial success", "something of a later dbt"])
def test_a_status_that_dex_has_no_word_for_keeps_its_name(status):
    class Project:
        def execute(self, unique_id, ticket, **options):
            return task.Outcome(unique_id, "events", status, "3 of 4 batches")

    told = []
    order = {"task": "1.1", "unique_id": "model.shop.events"}
    Execution(order, lambda execution, work: work(), told.append).start(Project())
    (result,) = [event for event in told if event["event"] == "result"]
    assert result["status"] == "error" and result["message"] == f"dbt ended it as “{status}”: 3 of 4 batches"


def test_opening_and_parsing_a_project_find_the_schemas_built_that_dbt_validates_with(tmp_path):
    """Each takes up to 0.2 s of CPU; the process that sessions and parses are forked from has built them."""
    code = """
import sys
from functools import partial
import dbt_common.dataclass_schema as schemas
import nodes.dbt.warm.opening
import nodes.dbt.warm.parsing
from nodes.dbt.internals import Project

def built(cls):
    sys.exit(f"{cls} is built for each session")

schemas.build_json_schema = built
folders = {"project_dir": sys.argv[1], "profiles_dir": sys.argv[1]}
Project(log=lambda *_: None, target_path=sys.argv[2], log_path=sys.argv[2], **folders)
print("opened")
"""
    shutil.copytree(SAMPLE, tmp_path / "project")
    answer = process.run(
        [sys.executable, "-c", code, str(tmp_path / "project"), str(tmp_path / "target")],
        env=process.clean_environment({"PYTHONPATH": str(CODE), "DEX_DUCKDB_PATH": str(tmp_path / "shop.duckdb")}),
        cwd=tmp_path,
        timeout=patience(60),
    )
    assert answer.output == b"opened\n", answer.errors[-2000:]


def test_what_is_done_before_sessions_are_forked_remembers_nothing_of_its_environment():
    code = """
import nodes.dbt.warm.opening
import nodes.dbt.warm.parsing
from dbt_common.events import functions

print(functions.metadata_vars)
"""
    answer = process.run(
        [sys.executable, "-c", code],
        env=process.clean_environment({"PYTHONPATH": str(CODE), "DBT_ENV_CUSTOM_ENV_TEAM": "finance"}),
        cwd="/",
        timeout=patience(60),
    )
    assert answer.output == b"None\n", answer.errors[-2000:]


@pytest.mark.parametrize("has_method", [True, False], ids=["since 1.11", "before"])
def test_a_runner_that_raises_is_an_error_of_its_resource_on_every_version(has_method):
    runner = SimpleNamespace(node=SimpleNamespace(unique_id="model.shop.a", node_info={}))
    task = SimpleNamespace()
    if has_method:
        task._handle_thread_exception = partial(BuildTask._handle_thread_exception, task)
    result = versions.crashed(task, runner, ValueError("no such macro"))
    assert (result.status, result.message, result.node) == (
        "error",
        "Exception on worker thread. no such macro",
        runner.node,
    )
