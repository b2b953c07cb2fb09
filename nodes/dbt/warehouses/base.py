"""What every kind of warehouse is. A new one is a subclass in a module of nodes/dbt/warehouses/adapters/.

Nothing here imports dbt or an adapter: those are in the environment of the project's dbt.
"""

from abc import ABC
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from nodes.fields.settings import Config, Misfit, setting

__all__ = ["Config", "Given", "Loads", "Misfit", "Probe", "Problem", "Warehouse", "setting"]

#: dbt masks what it reads from variables of such names, and lets profiles.yml alone read them.
PREFIX = "DBT_ENV_SECRET_DEX_"

Cancels = Literal["proven", "adapter", "never"]


@dataclass(frozen=True)
class Problem:
    """What a message of an adapter means."""

    pattern: str  # a regular expression, found anywhere, whatever the case
    kind: str  # what is wrong: host, port, auth, account, role, warehouse, database, permission, timeout, tls, setting
    message: str  # a sentence; {name} is a group of the pattern or a setting


@dataclass(frozen=True)
class Probe:
    """A question that Test asks once it is connected. All is well when the answer is neither null nor false."""

    sql: str  # gives one value; {name} is a setting, quoted as a text of SQL
    kind: str  # as in Problem
    message: str  # what is wrong otherwise; {name} is a setting
    needs: str = ""  # ask only where this setting has a value


@dataclass(frozen=True)
class Loads:
    """Whether connections can load into a warehouse."""

    works: bool
    dlt: str = ""  # what dlt calls its destination; empty: it has none


class Given:
    """The settings of a warehouse on their way into profiles.yml. What is secret goes through dbt's environment."""

    def __init__(self, values: Mapping[str, Any], secret: Collection[str]) -> None:
        self.values, self._secret = values, secret
        self.passed: dict[str, str] = {}  # variables of dbt's environment

    def __getitem__(self, name: str) -> Any:
        """A setting as it stands in profiles.yml."""
        value = self.values[name]
        return self.hide(name, str(value)) if name in self._secret else value

    def all(self, *without: str) -> dict[str, Any]:
        """All settings that have a value, as they stand in profiles.yml."""
        return {name: self[name] for name in self.values if name not in without}

    def hide(self, name: str, text: str) -> str:
        """What stands in profiles.yml for a text that must be in no file."""
        variable = PREFIX + name.upper()
        self.passed[variable] = text
        return f"{{{{ env_var('{variable}') }}}}"


class Warehouse(ABC):
    """A kind of warehouse, as data. `output` is overridden where profiles.yml differs from the settings."""

    title: ClassVar[str]
    package: ClassVar[str]  # that the project's dbt needs
    Config: ClassVar[type[Config]]
    type: ClassVar[str]  # as in profiles.yml
    #: What a cancelled run does to its query: ends it, and a test of dex shows that; ends it as far as the adapter can;
    #: nothing, since the adapter cannot.
    cancels: ClassVar[Cancels] = "never"
    #: Whether a query whose worker was killed is ended before the next attempt.
    ends_orphans: ClassVar[bool] = False
    #: Whether the database is the process that asks it, so that nothing is left of a query when that is killed.
    in_process: ClassVar[bool] = False
    loads: ClassVar[Loads] = Loads(False)
    tested: ClassVar[str]  # against what, for docs/warehouses.md
    problems: ClassVar[tuple[Problem, ...]] = ()
    probes: ClassVar[tuple[Probe, ...]] = ()

    def output(self, given: Given) -> dict[str, Any]:
        """The target in profiles.yml, without type and threads. Raises Misfit for a value that cannot be used."""
        return given.all()

    @property
    def refusal(self) -> str:
        """Why connections cannot load into it; empty where they can."""
        if self.loads.works:
            return ""
        why = (
            "dex has not been tested with it, so it could not promise complete tables and exact counts"
            if self.loads.dlt
            else "dlt, the library that loads them, has no destination for it"
        )
        return (
            f"Connections cannot load into {self.title}: {why}. Load these tables with another tool, and "
            "declare them as sources of the project."
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know before they choose it, in sentences."""
        cancel = {
            "proven": "Cancelling a run ends its query.",
            "adapter": f"Cancelling a run asks {self.title} to end its query.",
            "never": f"Cancelling a run ends dbt, but not the query: it may go on in {self.title}.",
        }[self.cancels]
        lost = f"If a worker is killed, its query may go on in {self.title}."
        loads = "Connections can load into it." if self.loads.works else "Connections cannot load into it."
        needs = f"The project's dbt needs the package {self.package}."
        return (needs, cancel, *(() if self.ends_orphans else (lost,)), loads)
