"""Takes out of dbt's way what costs time at every model and what nobody reads here; tested against the pinned dbt."""

import threading
from types import SimpleNamespace
from typing import Any

import dbt.contracts.graph.nodes
import dbt.parser.manifest
import dbt.task.run
import dbt_common.exceptions.base
from dbt_common.events.base_types import BaseEvent, DebugLevel


def spare_processes() -> None:
    """The lock of an adapter is one of threads: one of processes starts another process to watch over it."""
    dbt.parser.manifest.get_mp_context = lambda: SimpleNamespace(RLock=threading.RLock)


def spare_work(adapter: Any) -> None:
    """Take out of the way of every model what nobody uses here: two fifths of what a cheap one costs among 500."""
    # Compiled code is kept beside the log of its attempt; dbt's two files a model are read by nobody.
    dbt.contracts.graph.nodes.write_file = lambda *_, **__: True
    _late_messages()
    # Statistics are sent nowhere: no reason to hash and describe every model for them.
    dbt.task.run.track_model_run = lambda *_, **__: None
    # Every exception of dbt, and it makes twenty a model, looks through the whole environment.
    secrets = dbt_common.exceptions.base.env_secrets()
    dbt_common.exceptions.base.env_secrets = lambda: secrets
    # A relation is looked for four times a model, and each time compared in depth with all of its schema.
    compare = adapter._make_match

    def match(relations: list[Any], database: str, schema: str, identifier: str) -> Any:
        bare = identifier.strip("\"`'[]").lower()
        near = [relation for relation in relations if bare in (relation.identifier or "").lower()]
        return compare(near, database, schema, identifier)

    adapter._make_match = match


def _late_messages() -> None:
    """Debug events become protobuf messages when somebody reads them, and here almost nobody does."""
    make = BaseEvent.__init__

    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        object.__setattr__(self, "_late", (args, kwargs))

    class Late:
        def __get__(self, event: Any, owner: Any = None) -> Any:
            args, kwargs = object.__getattribute__(event, "_late")
            make(event, *args, **kwargs)  # sets pb_msg on the event, which is found first from now on
            return object.__getattribute__(event, "__dict__")["pb_msg"]

    DebugLevel.__init__ = remember
    DebugLevel.pb_msg = Late()
