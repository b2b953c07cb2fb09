"""`python -m nodes.connections.connectors.child`: carries out one order and ends.

The order is one JSON object on standard input, so that secrets stand neither in arguments nor in the environment.
Events go as lines of JSON to what standard output was at the start; whatever else is printed is the log.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from flows.infra.network.guard import Guard
from flows.infra.network.policy import Policy
from flows.infra.redaction import Redactor
from nodes.connections.connectors.base import Connector, Context
from nodes.connections.connectors.failures import SourceError, chain, explain

ACTIONS = ("test", "discover", "load")


class _Events:
    """Writes events to a descriptor that nothing else knows."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        os.set_inheritable(self._fd, False)
        os.dup2(2, 1)
        sys.stdout = sys.stderr

    def emit(self, event: dict[str, Any]) -> None:
        """One line; the process ends when nobody reads any more."""
        data = json.dumps(event, default=str).encode("utf-8", "backslashreplace") + b"\n"
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            os._exit(1)


class Order:
    """One order with everything that it needs."""

    def __init__(self, order: dict[str, Any], events: _Events, scratch: Path) -> None:
        from nodes.connections.connectors.catalogue import CATALOGUE
        from nodes.fields.form import secret_values

        self.order, self.events = order, events
        if order.get("connector") not in CATALOGUE:
            raise SourceError("config", f"There is no connector {order.get('connector')}.")
        self.connector: Connector = CATALOGUE[order["connector"]]
        self.secrets = secret_values(self.connector, order.get("config") or {})
        password = (order.get("destination") or {}).get("password")
        self.secrets += [password] if password else []
        self._masker = Redactor(self.secrets)
        project, network = order.get("project_dir"), order.get("network") or {}
        self.context = Context(
            guard=Guard(Policy(bool(network.get("private")), tuple(network.get("allow") or ()))),
            scratch=scratch,
            project_dir=Path(project) if project else None,
            roots=[Path(root) for root in (order.get("files") or {}).get("roots") or ()],
            most_rows=(order.get("limits") or {}).get("rows"),
            say=self.say,
        )

    def say(self, text: str) -> None:
        """A line of the log."""
        print(self._masker.whole(text), file=sys.stderr, flush=True)

    def config(self) -> Any:
        """The typed settings. Raises SourceError naming the field."""
        from nodes.fields.form import check, fields_of

        config, errors = check(self.connector, self.order.get("config") or {})
        if errors:
            labels = {each.name: each.label for each in fields_of(self.connector)}
            name, message = next(iter(errors.items()))
            raise SourceError("config", f"{labels.get(name, name)}: {message}")
        return config

    def test(self) -> bool:
        """Reach the source."""
        try:
            config = self.config()
            self.context.guard.install()
            message = self.connector.test(config, self.context)
        except Exception as error:
            kind, message = self._told(error)
            self.events.emit({"event": "tested", "ok": False, "kind": kind, "message": message})
            return False
        self.events.emit({"event": "tested", "ok": True, "kind": "", "message": self._masker.whole(message)})
        return True

    def discover(self) -> bool:
        """Say what streams there are."""
        try:
            config = self.config()
            self.context.guard.install()
            streams = [each.event() for each in self.connector.discover(config, self.context)]
        except Exception as error:
            kind, message = self._told(error)
            self.events.emit({"event": "failed", "kind": kind, "message": message})
            return False
        self.events.emit({"event": "streams", "streams": streams})
        return True

    def load(self) -> bool:
        """Load the streams one after the other; one that fails does not keep the others."""
        from nodes.connections.connectors.warehouse import Warehouse

        order = self.order
        target = Warehouse(order["destination"], order["dataset"])
        folder = Path(order["pipelines_dir"])
        try:
            return self._streams(target, folder)
        finally:
            target.close()

    def _streams(self, target: Any, folder: Path) -> bool:
        from nodes.connections.connectors.loading import StreamLoad
        from nodes.connections.connectors.streams import parse

        order, well = self.order, True
        config: Any = None
        for raw in order["streams"]:
            name = str(raw.get("name"))
            try:
                config = config or self.config()
                self.context.guard.install()
                filters = "row_filter" in self.connector.pushes
                settings, errors = parse(raw, supports=self.connector.supports, filters=filters)
                if settings is None:
                    raise SourceError("config", next(iter(errors.values())))
                self.events.emit({"event": "stream_started", "stream": name})
                load = StreamLoad(
                    self.connector, config, settings, self.context, target, order["pipeline"], folder, self.events.emit
                )
                self.events.emit(load.run())
            except Exception as error:
                if any(isinstance(link, KeyboardInterrupt) for link in chain(error)):
                    raise KeyboardInterrupt from error
                kind, message = self._told(error)
                self.events.emit({"event": "stream_failed", "stream": name, "kind": kind, "message": message})
                well = False
        return well

    def _told(self, error: Exception) -> tuple[str, str]:
        """Kind and sentence; what dex has no sentence for is also told at length in the log."""
        kind, message = explain(error, self.secrets)
        if kind == "other":
            self.say("".join(traceback.format_exception(list(chain(error))[-1])))
        self.say(message)
        return kind, message


def main() -> int:
    """Read the order, carry it out, say how it ended."""
    events = _Events()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.umask(0o077)
    scratch = Path(tempfile.mkdtemp(prefix="dex-ingestion-"))
    ok, why = False, ""
    try:
        raw = json.loads(sys.stdin.buffer.read())
        if raw.get("action") not in ACTIONS:
            raise SourceError("config", f"There is no action {raw.get('action')}.")
        order = Order(raw, events, scratch)
        ok = getattr(order, raw["action"])()
    except KeyboardInterrupt:
        why = "cancelled"
    except SourceError as error:
        why = str(error)
    except Exception:
        traceback.print_exc()
        why = "the child process failed; its log says why"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    events.emit({"event": "done", "ok": ok, "message": why})
    return 0 if ok else 1


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # nothing is left to tidy up, and threads of libraries must not keep the process
