"""What every connector is. Imports nothing heavy: the web process reads this, the child process calls it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from nodes.connections.connectors.streams import MODES, StreamSettings
from nodes.fields.settings import Config, Misfit, setting

if TYPE_CHECKING:
    from flows.infra.network.guard import Guard

__all__ = ["GROUPS", "Config", "Connector", "Context", "Cursor", "Found", "Group", "Misfit", "setting"]

Group = Literal["Databases", "Files", "APIs", "Custom"]
GROUPS: tuple[Group, ...] = ("Databases", "Files", "APIs", "Custom")


@dataclass(frozen=True)
class Found:
    """A stream that a source offers."""

    name: str
    columns: Sequence[tuple[str, str]] = ()  # (name, type)
    primary_key: Sequence[str] = ()
    cursor_candidates: Sequence[str] = ()
    rows_estimate: int | None = None

    def event(self) -> dict[str, Any]:
        """It as JSON."""
        return {
            "name": self.name,
            "columns": [{"name": name, "type": kind} for name, kind in self.columns],
            "primary_key": list(self.primary_key),
            "cursor_candidates": list(self.cursor_candidates),
            "rows_estimate": self.rows_estimate,
        }


@dataclass
class Context:
    """What the child process gives a connector to work with."""

    guard: "Guard"  # resolves and checks hosts
    scratch: Path  # a folder of this order, emptied when it ends
    project_dir: Path | None = None
    roots: Sequence[Path] = ()  # local folders that may be read beside the project
    most_rows: int | None = None  # stop after so many, for a trial
    say: Callable[[str], None] = field(default=print)  # a line of the log


@dataclass(frozen=True)
class Cursor:
    """What an incremental load goes by."""

    column: str
    since: Any = None  # the last value that was loaded; None at the first load
    incremental: Any = None  # dlt's, for a connector that pushes it into its own statements


class Connector(ABC):
    """A kind of source. A subclass in a module of nodes/connections/connectors/sources/ is all that a new one needs.

    The three methods run in the child process alone; they import what they need themselves.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    group: ClassVar[Group]
    icon: ClassVar[str]  # a name of Lucide
    status: ClassVar[Literal["Certified", "Beta"]] = "Beta"
    Config: ClassVar[type[Config]]
    supports: ClassVar[tuple[str, ...]] = tuple(MODES)
    # What it does itself while it reads, so that less is read; the rest is done after reading.
    pushes: ClassVar[frozenset[Literal["columns", "row_filter", "cursor"]]] = frozenset()
    # Whether it reads arrow tables and knows the types of all columns before the first row.
    knows_types: ClassVar[bool] = False

    def needs_network(self, config: Any) -> bool:
        """Whether the child has to reach other machines."""
        return True

    @abstractmethod
    def test(self, config: Any, context: Context) -> str:
        """Reach the source and sign in. Out: a sentence for the person. Raises whatever goes wrong."""

    @abstractmethod
    def discover(self, config: Any, context: Context) -> Sequence[Found]:
        """What streams there are. Raises whatever goes wrong."""

    @abstractmethod
    def resource(self, config: Any, stream: StreamSettings, context: Context, cursor: Cursor | None = None) -> Any:
        """A dlt resource of one stream, named as the stream, without hints about keys and how it is written.

        A connector that pushes the cursor down uses `cursor.incremental`; the others are filtered afterwards, and may
        skip what is older than `cursor.since`. Raises SourceError and others.
        """
