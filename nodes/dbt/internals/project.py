"""A dbt project, loaded once, whose resources can be executed one by one."""

import copy
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from dbt import selected_resources
from dbt.adapters.factory import cleanup_connections, get_adapter
from dbt.cli import requires
from dbt.cli.flags import Flags
from dbt.cli.types import Command as CliCommand
from dbt.config import RuntimeConfig
from dbt.config.runtime import load_profile, load_project
from dbt.events.logging import setup_event_logger
from dbt.flags import get_flags
from dbt.node_types import RunHookType
from dbt.plugins import set_up_plugin_manager
from dbt.task.build import BuildTask
from dbt_common.context import _INVOCATION_CONTEXT_VAR, get_invocation_context, set_invocation_context
from dbt_common.events.contextvars import task_contextvars
from dbt_common.events.event_manager_client import ctx_set_event_manager, get_event_manager

from nodes.dbt.internals import versions
from nodes.dbt.internals.invocation import Commands, Invocation
from nodes.dbt.internals.microbatch import Tell, own_config, prepare, window_at
from nodes.dbt.internals.records import record_of, result_of, skipped
from nodes.dbt.internals.spare import spare_processes, spare_work
from nodes.dbt.internals.task import Batches, Events, HookReport, Log, Outcome, Supplier, Ticket, fresh

MOST_COLUMNS = 50  # of failing rows
LONGEST_CELL = 300  # characters


class Project:
    """A dbt project, loaded once, whose resources can be executed one by one."""

    def __init__(
        self,
        *,
        project_dir: str,
        profiles_dir: str,
        target_path: str,
        log_path: str,
        log: Log,
        target: str | None = None,
        vars: dict[str, Any] | None = None,
        threads: int | None = None,
        partial_parse: str | None = None,
        database_dir: str | None = None,
        debug: bool = False,
    ) -> None:
        os.chdir(project_dir)
        environment = dict(os.environ)
        # Since 1.11 DBT_ENGINE_X and DBT_X are one, where dbt knows the name.
        getattr(requires, "_cross_propagate_engine_env_vars", lambda _: None)(environment)
        set_invocation_context(environment)
        options: dict[str, Any] = {
            "project_dir": project_dir, "profiles_dir": profiles_dir, "target_path": target_path,
            "log_path": log_path, "log_level": "none", "log_level_file": "none", "use_colors": False,
            "write_json": False, "send_anonymous_usage_stats": False, "version_check": False,
            "cache_selected_only": True,
        }  # fmt: skip
        options |= {"target": target} if target else {}
        options |= {"threads": threads} if threads else {}
        options |= {"vars": json.dumps(vars)} if vars else {}
        options |= {"partial_parse_file_path": partial_parse} if partial_parse else {}
        self._profiles_dir = profiles_dir
        self._listen(debug, log)
        self.flags = Flags.from_dict(CliCommand.BUILD, options)
        place = {"project_dir": project_dir, "profiles_dir": profiles_dir, "target": target, "threads": threads}
        self._commands = Commands(self.flags, {**place, "vars": vars})
        get_event_manager().require_warn_or_error_handling = getattr(
            self.flags, "require_all_warnings_handled_by_warn_error", False
        )
        self._invocation = Invocation()
        self._invocation.begin(profiles_dir)
        setup_event_logger(self.flags, callbacks=[lambda event: log(event.info.level, event.info.msg)])
        profile = load_profile(project_dir, self.flags.VARS, self.flags.PROFILE, target, threads)
        get_invocation_context().uses_adapter(profile.credentials.type)
        project = versions.call(load_project, project_dir, False, profile, self.flags.VARS, validate=True)
        set_up_plugin_manager(project_name=project.project_name)
        self.config = RuntimeConfig.from_parts(project, profile, self.flags)
        spare_processes()
        self.manifest = versions.parse_manifest(self.config, project.project_name, self.flags)
        _anchor(self.config.credentials, database_dir)  # not before: the parse compares what it was made with
        self.adapter = get_adapter(self.config)
        self.threads: int = self.config.threads
        spare_work(self.adapter)
        Path(self.config.project_target_path).mkdir(parents=True, exist_ok=True)
        self._ephemeral = {key: node for key, node in self.manifest.nodes.items() if node.is_ephemeral_model}
        self._compiling = threading.Lock()
        self._batches = ThreadPoolExecutor(self.threads, thread_name_prefix="batch")
        self._context = get_invocation_context()
        self._task: Supplier | None = None
        self._results: dict[str, Any] = {}  # of this session, by unique id, in the order in which they ended
        self._keeping = threading.Lock()

    def begin(
        self,
        wanted: Iterable[str],
        *,
        hooks: bool = True,
        label: str = "",
        leftovers: bool = False,
        invocation: Mapping[str, Any] | None = None,
    ) -> HookReport:
        """What dbt does once before a run: schemas, the cache of relations, on-run-start hooks.

        `hooks` False: the hooks of this run run when `run_hooks` is called, and not otherwise. `label` names
        the connections where the warehouse shows names; with `leftovers`, what an earlier session of the same
        label left running there is ended first. `invocation`: what the run is to dbt, see Invocation.
        """
        self._enter()
        if label and self.adapter.type() == "postgres":
            self._name_connections(label, leftovers)
        self._invocation = started = Invocation.of(invocation)
        started.begin(self._profiles_dir)
        chosen = frozenset(wanted)
        selected_resources.set_selected_resources(set(chosen if started.selected is None else started.selected))
        self._results = {}
        self.executed: dict[str, Any] = {}
        versions.show_in_graph(self.manifest, self.executed)
        for key, node in self._ephemeral.items():  # compiled anew: variables and time are of this run
            self.manifest.nodes[key] = fresh(node)
        self._compiled_ephemeral: dict[str, Outcome] = {}
        self._task = task = Supplier(self, chosen)
        task.with_hooks = hooks
        with (
            task_contextvars(project_root=self.config.project_root),
            self._commands.active(started.hooks, self.config) if hooks else nullcontext(),
        ):
            status = versions.before_run(task, self.adapter, chosen)
        ran = versions.hooks_since(task, (0, 0))
        failed = [hook["message"] for hook in ran if hook["status"] not in ("success", "pass")]
        proceed = status == "success" or not get_flags().skip_nodes_if_on_run_start_fails
        return HookReport(proceed, "\n".join(failed), ran)

    def execute(
        self,
        unique_id: str,
        ticket: Ticket,
        *,
        step: str = "",
        full_refresh: bool = False,
        since: str | None = None,
        known: Mapping[str, Any] | None = None,
        tell: Tell | None = None,
    ) -> Outcome:
        """Run one resource in this thread, as the command of its step would; what goes wrong is an outcome, too.

        Of microbatch models: `since`, when the run began whose window it has, if not this one; `known`, the batches
        of an earlier try; `tell` is given the batches and how each ended, see nodes.dbt.internals.microbatch.
        """
        self._enter()
        task = self._running()
        node = self.manifest.unit_tests.get(unique_id) or self.manifest.expect(unique_id)
        command = self._invocation.command(step, full_refresh=full_refresh)
        with ticket.working(), self._commands.active(command, self.config):
            for ephemeral in self._ephemeral_parents(node):
                broken = self._compile(ephemeral, ticket)
                if broken:
                    return Outcome(
                        unique_id,
                        node.name,
                        "error",
                        f"Compilation Error in {unique_id}, caused by the ephemeral model {ephemeral}:\n"
                        f"{broken.message}",
                    )
            task.job_queue.in_progress.add(unique_id)
            try:
                window_at.set(datetime.fromisoformat(since).astimezone(versions.UTC) if since else None)
                return self._run(task, fresh(node), ticket, keep=True, known=known, tell=tell)
            finally:
                window_at.set(None)
                task.job_queue.in_progress.discard(unique_id)

    def sample(self, name: str, code: str, most: int, ticket: Ticket) -> dict[str, Any]:
        """The first rows that a query gives: {"columns": [...], "rows": [[text or None]]}, each text cut."""
        self._enter()
        with ticket.working(), self.adapter.connection_named(f"rows of {name}"):
            # Not execute(fetch=True): agate guesses types, and knows none for bytes.
            _, cursor = self.adapter.add_query(code, auto_begin=False)
            columns = [str(column[0])[:LONGEST_CELL] for column in cursor.description[:MOST_COLUMNS]]
            rows = [[_as_text(value) for value in row[:MOST_COLUMNS]] for row in cursor.fetchmany(most)]
        return {"columns": columns, "rows": rows}

    def run_hooks(
        self, when: str, ticket: Ticket, *, recorded: Mapping[str, Mapping[str, Any]] | None = None
    ) -> HookReport:
        """Run the hooks of one end of the run now: "on-run-start" or "on-run-end".

        `recorded`: what is known of the results of the run, by unique id; without it, those of this session.
        """
        self._enter()
        task = self._running()
        before = versions.mark(task)
        message, aborted = "", False
        task.with_hooks = True
        try:
            with (
                ticket.working(),
                task_contextvars(project_root=self.config.project_root),
                self._commands.active(self._invocation.hooks, self.config),
                _main_thread(),
            ):
                if when == "on-run-end":
                    task.after_run(self.adapter, self._all_results(task, recorded))
                else:
                    with self.adapter.connection_named("master"):
                        task.safe_run_hooks(self.adapter, RunHookType.Start, {})
        except Exception as error:
            message, aborted = str(error), True
        finally:
            task.with_hooks = False
        hooks = versions.hooks_since(task, before)
        failed = [hook["message"] for hook in hooks if hook["status"] not in ("success", "pass")]
        records = {result.node.unique_id: record_of(result) for result in versions.hook_results_since(task, before)}
        return HookReport(not failed and not message, message or "\n".join(failed), hooks, records, aborted)

    @property
    def goes_on(self) -> bool:
        """Whether models run though an on-run-start hook failed: dbt's flag skip_nodes_if_on_run_start_fails."""
        return not self.flags.skip_nodes_if_on_run_start_fails

    def _all_results(self, task: Supplier, recorded: Mapping[str, Mapping[str, Any]] | None) -> list[Any]:
        """What dbt hands to on-run-end: everything of the run, also of sessions before this one."""
        if recorded is None:
            return [*task.node_results, *self._results.values()]
        results: dict[str, Any] = {}
        mine = {result.node.unique_id: result for result in task.node_results} | self._results
        for unique_id, record in recorded.items():
            own = mine.get(unique_id)
            node = self.manifest.unit_tests.get(unique_id) or self.manifest.nodes.get(unique_id)
            if own is not None or node is not None:
                results[unique_id] = own or result_of(record, self._as_it_was(node, record))
        for unique_id in self._invocation.selected or ():
            node = self.manifest.exposures.get(unique_id) or self.manifest.saved_queries.get(unique_id)
            if node is not None:
                results[unique_id] = self._nothing_done(node, results)
        return list(results.values())

    def _as_it_was(self, node: Any, record: Mapping[str, Any]) -> Any:
        """A copy of a node as its execution left it, compiled, for what another session executed."""
        clean = fresh(node)
        if record.get("compiled_code"):
            clean.compiled, clean.compiled_code, clean.extra_ctes_injected = True, record["compiled_code"], True
        if node.unique_id in self.manifest.nodes:
            self.executed.setdefault(node.unique_id, clean)
        return clean

    def _nothing_done(self, node: Any, results: Mapping[str, Any]) -> Any:
        """The result of an exposure or a saved query, which dbt lets pass or skips, and dex has no task for."""
        began = datetime.now(versions.UTC)
        above, wave = set(), set(node.depends_on_nodes)
        while wave:
            above |= wave
            wave = {up for each in wave for up in self.manifest.parent_map.get(each, ())} - above
        bad = {key for key, result in results.items() if result.status in BuildTask.MARK_DEPENDENT_ERRORS_STATUSES}
        stopped = bad & above or any(
            set(parents) <= above
            for key in bad
            if key.startswith("test.") and (parents := self.manifest.nodes[key].depends_on_nodes)
        )
        if stopped:
            return result_of(skipped(), node)
        now = began.replace(tzinfo=None).isoformat()
        timing = [{"name": name, "started_at": now, "completed_at": now} for name in ("compile", "execute")]
        took = (datetime.now(versions.UTC) - began).total_seconds()
        fields = {"status": "no-op", "message": "NO-OP", "failures": 0, "timing": timing, "execution_time": took}
        return result_of(fields, node)

    def _name_connections(self, label: str, leftovers: bool) -> None:
        """PostgreSQL goes on with a query whose client was killed: a second try would meet the first."""

        def named(credentials: Any) -> Any:
            """A copy: models read the credentials themselves as `target`."""
            renamed = copy.copy(credentials)
            renamed.application_name = label
            return renamed

        type(self.adapter.connections).get_credentials = staticmethod(named)
        if leftovers:
            sql = (
                "select pg_terminate_backend(pid) from pg_stat_activity "  # noqa: S608 - a label of dex's own
                f"where application_name = '{label}' and pid <> pg_backend_pid()"
            )
            with self.adapter.connection_named("master"):
                self.adapter.execute(sql, fetch=True)

    def end(self) -> HookReport:
        """What dbt does once after a run: on-run-end hooks; then nothing is held open any more."""
        self._enter()
        task, self._task = self._task, None
        if task is None:
            return HookReport(True)
        before = versions.mark(task)
        message = ""
        try:
            with (
                task_contextvars(project_root=self.config.project_root),
                self._commands.active(self._invocation.hooks, self.config),
            ):
                task.after_run(self.adapter, [*task.node_results, *self._results.values()])
        except Exception as error:
            message = str(error)
        finally:
            self._results = {}
            self.release()
        hooks = versions.hooks_since(task, before)
        failed = [hook["message"] for hook in hooks if hook["status"] not in ("success", "pass")]
        return HookReport(not failed and not message, message or "\n".join(failed), hooks)

    def interrupt(self, ticket: Ticket) -> int:
        """Cancel the queries that run for a ticket, and no others; says how many there were."""
        manager = self.adapter.connections
        with manager.lock:
            mine = [
                (key, connection)
                for key, connection in manager.thread_connections.items()
                if key[1] in ticket.threads and connection.state == "open"
            ]
        for key, connection in mine:
            with suppress(Exception):  # it may have ended in the meantime
                self._cancel(manager, connection, key)
        return len(mine)

    def release(self) -> None:
        """Close every connection, and the file where the database is one: others may want to write to it."""
        with suppress(Exception):
            self.adapter.cleanup_connections()
        if self.adapter.type() == "duckdb":
            with suppress(Exception):
                self.adapter.connections.env().close()

    def close(self) -> None:
        """Let go of everything."""
        self.release()
        cleanup_connections()

    def _running(self) -> Supplier:
        if self._task is None:
            raise RuntimeError("nothing may be executed before a run began")
        return self._task

    def _run(
        self,
        task: Supplier,
        node: Any,
        ticket: Ticket,
        *,
        keep: bool,
        known: Mapping[str, Any] | None = None,
        tell: Tell | None = None,
    ) -> Outcome:
        if keep and node.unique_id in self.manifest.nodes:
            self.executed[node.unique_id] = node
        runner = task.get_runner(node)
        if isinstance(runner, versions.MicrobatchModelRunner):
            own_config(node)
            prepare(runner, known, tell)
            runner.set_parent_task(task)
            runner.set_pool(Batches(self.threads, self._batches, ticket))
        result = task.call_runner(runner)
        if keep:
            with self._keeping:  # a later try takes the place of an earlier one
                self._results.pop(node.unique_id, None)
                self._results[node.unique_id] = result
        return Outcome(
            unique_id=node.unique_id,
            name=node.name,
            status=str(result.status),
            message=str(result.message or ""),
            failures=result.failures,
            execution_time=result.execution_time,
            adapter_response=result.adapter_response or {},
            compiled_code=getattr(result.node, "compiled_code", None),
            record=record_of(result),
        )

    def _ephemeral_parents(self, node: Any) -> list[str]:
        """The ephemeral models that become part of this node's SQL, parents first."""
        parents: list[str] = []

        def visit(each: Any) -> None:
            for parent in getattr(getattr(each, "depends_on", None), "nodes", ()):
                if parent in self._ephemeral and parent not in parents:
                    visit(self.manifest.nodes[parent])
                    parents.append(parent)

        visit(node)
        return parents

    def _compile(self, unique_id: str, ticket: Ticket) -> Outcome | None:
        """Compile an ephemeral model, once per run and before its children, as dbt does; says what broke."""
        with self._compiling:
            outcome = self._compiled_ephemeral.get(unique_id)
            if outcome is None:
                outcome = self._run(self._running(), self.manifest.nodes[unique_id], ticket, keep=False)
                self._compiled_ephemeral[unique_id] = outcome
        return None if outcome.good else outcome

    def _cancel(self, manager: Any, connection: Any, key: Any) -> None:
        if self.adapter.type() == "duckdb":
            manager.cancel(connection)
        elif self.adapter.type() == "bigquery":  # it has no cancel of one connection, but knows the jobs of each thread
            for job in manager.jobs_by_thread.get(key, [])[-1:]:
                connection.handle.cancel_job(job, location=connection.credentials.location)
        elif hasattr(connection.handle, "cancel"):
            connection.handle.cancel()  # ends the query; dbt's own way would end the whole connection
        else:
            with self.adapter.connection_named("cancel"):
                manager.cancel(connection)

    def _enter(self) -> None:
        """dbt finds its context by thread."""
        _INVOCATION_CONTEXT_VAR.set(self._context)

    @staticmethod
    def _listen(debug: bool, log: Log) -> None:
        events = Events()
        events.debug = debug
        events.add_callback(lambda event: log(event.info.level, event.info.msg))
        ctx_set_event_manager(events)


@contextmanager
def _main_thread() -> Iterator[None]:
    """Hooks run in dbt's main thread, and can read what it is called."""
    thread = threading.current_thread()
    name, thread.name = thread.name, threading.main_thread().name
    try:
        yield
    finally:
        thread.name = name


def _as_text(value: Any) -> str | None:
    """A cell for people: bytes as PostgreSQL writes them, since the address of a buffer says nothing."""
    if value is None:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        return f"\\x{bytes(value[: LONGEST_CELL // 2]).hex()}"[:LONGEST_CELL]
    return str(value)[:LONGEST_CELL]


def _anchor(credentials: Any, database_dir: str | None) -> None:
    """A relative path of a DuckDB file counts from a lasting folder, not from this revision's copy."""
    if credentials.type != "duckdb" or not database_dir:
        return
    Path(database_dir).mkdir(parents=True, exist_ok=True)
    path = str(credentials.path or "")
    if path and ":" not in path:
        credentials.path = str(Path(database_dir) / Path(path).expanduser())
