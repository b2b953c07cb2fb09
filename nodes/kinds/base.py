"""What dex asks of a kind of node. A kind is one file: a subclass of Kind with its data and its few functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodes.models import Connection, Node
from nodes.tasks import AttemptOutcome, Context, Expanded, Problem, TaskSpec

#: Settings that every kind of node has, as columns of Node.
COMMON = ("retries", "retry_delay", "retry_on", "retry_patterns", "timeout", "pool")


@dataclass(frozen=True)
class Option:
    """A setting that one kind alone has. It is kept in Node.options; no migration is needed for it.

    The type of `default` is the type of the setting: text, whole number, true or false, or a list of strings.
    """

    name: str  # in files and forms
    default: str | int | bool | list[str]
    label: str = ""
    help: str = ""
    required: bool = False

    @property
    def wanted(self) -> str:
        """What a value must be, in words."""
        words = {bool: "true or false", int: "a whole number", str: "text", list: "a list of strings"}
        return words[type(self.default)]

    def fits(self, value: Any) -> bool:
        """Whether a value from a file is of the right type."""
        if isinstance(value, list):
            return isinstance(self.default, list) and all(isinstance(each, str) for each in value)
        return type(value) is type(self.default)


@dataclass(frozen=True)
class NeededPool:
    """A pool of which each task of a node takes a slot, and how many slots it has."""

    name: str
    slots: int


class Kind:
    """A kind of node: what forms, files, the canvas, the planner and the engine need to know of it.

    A subclass sets the data and overrides what differs; `register` (nodes.kinds.registry) makes it known. As it stands,
    a node is one task, which `execute` does.
    """

    name = ""  # in the database, files and addresses
    label = ""  # for people: "Custom Script"
    plural = ""  # as a row of the retries by kind of task: "Scripts"; empty where dbt's resource types are the rows
    icon = "circle"  # one of frontend/icons.txt
    says = ""  # what such a node does, in a sentence, where one is added
    order = 100  # of the menus
    #: Columns of Node that this kind uses, besides COMMON, in the order of forms and files.
    columns: tuple[str, ...] = ()
    #: Settings that have no column.
    options: tuple[Option, ...] = ()
    #: The fields that the form shows first; others follow under "More". What is wrong with a node as a whole is said
    #: beside the first.
    main: tuple[str, ...] = ()
    more = "retries, time-outs"  # what is under "More", in words
    #: The part of the form that shows `main`: a template with `form`, `node`, `flow` and `kind`.
    template = "nodes/kinds/plain.html"
    #: The dotted name of a form with fields of its own (a subclass of nodes.forms.node.NodeForm). It is a name, so that
    #: the engine, which imports kinds, imports no forms.
    form = "nodes.forms.node.NodeForm"
    #: Its tasks are dbt's resources, which the run's dbt session executes; `execute` is not called.
    runs_dbt = False
    #: A task may write an output that other nodes read (`reads`): its result has "output".
    writes_output = False

    # What a node is set to

    @property
    def fields(self) -> tuple[str, ...]:
        """All settings, in the order of files."""
        return (*self.columns, *(option.name for option in self.options), *COMMON)

    @property
    def defaults(self) -> dict[str, Any]:
        """Each setting as it is when nobody sets it."""
        own = {option.name: option.default for option in self.options}
        return {name: own[name] if name in own else Node._meta.get_field(name).get_default() for name in self.fields}  # type: ignore[union-attr]

    def settings(self, node: Node) -> dict[str, Any]:
        """Each setting of a node, as files have it: a connection by its name."""
        return {name: self._setting(node, name) for name in self.fields}

    def _setting(self, node: Node, name: str) -> Any:
        for option in self.options:
            if option.name == name:
                return node.options.get(name, option.default)
        value = getattr(node, name)
        return value.name if isinstance(value, Connection) else value

    def set(self, node: Node, settings: Mapping[str, Any]) -> None:
        """Write settings to a node that is not saved yet; those that are missing get their defaults."""
        values = {**self.defaults, **settings}
        for name in (*self.columns, *COMMON):
            setattr(node, name, values[name])
        node.options = {option.name: values[option.name] for option in self.options}

    # What people are told

    def detail(self, settings: Mapping[str, Any]) -> str:
        """What a node does, in a line of its card, from its settings."""
        return ", ".join(str(settings[name]) for name in self.main if settings[name] not in (None, "", []))[:200]

    def summary(self, settings: Mapping[str, Any]) -> str:
        """What a node does, in the history of its flow, from its settings."""
        return self.detail(settings) or self.label

    # What the planner asks

    def check(self, node: Node) -> list[Problem]:
        """What is wrong with the settings by themselves; a node with problems is not expanded."""
        missing = [o for o in self.options if o.required and node.options.get(o.name, o.default) in ("", [])]
        return [Problem(option.name, f"{option.label or option.name} is required.") for option in missing]

    def expand(self, node: Node, revision: Any, results: Mapping[str, str] | None = None) -> Expanded:
        """The tasks of a node on a revision (flows.models.Revision), and what is wrong with it.

        In: `results`, unique id -> dbt's status of an earlier run. Raises FileNotFoundError when the revision's files
        are gone.
        """
        key = f"{self.name}.{node.pk or 0}"
        spec = TaskSpec(key=key, unique_id=key, identifier=node.name, resource_type=self.name)
        return Expanded(specs=(spec,), errors=tuple(self.check(node)))

    def run_spec(self, node: Node, spec: TaskSpec) -> dict[str, Any]:
        """What a run needs to know of one task, as it was when the run was planned; `execute` finds it in its spec."""
        settings = self.settings(node)
        return {option.name: settings[option.name] for option in self.options}

    def reads(self, node: Node) -> list[str]:
        """The names of the nodes whose output this one reads: it runs after them."""
        return []

    def pool(self, node: Node) -> NeededPool | None:
        """The pool of its tasks, where a node names none."""
        return None

    def opens_warehouse(self, node: Node) -> bool:
        """Whether its tasks open the warehouse in processes of their own: of a DuckDB file, one at a time."""
        return False

    # What the engine asks

    def execute(self, context: Context) -> AttemptOutcome:
        """Do one task. Raises Stopped when the worker ends meanwhile; any other exception fails the attempt."""
        raise NotImplementedError(f"Tasks of {self.label} nodes are not executed on their own")
