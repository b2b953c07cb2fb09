"""The forms of a flow's nodes: chips as lines, errors at the field."""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar, cast

from django import forms
from django.core.exceptions import ValidationError
from django.forms import modelform_factory
from django.utils.module_loading import import_string

from flows.access import acting
from flows.models import Flow
from flows.variables.values import secret_names, variable_names
from nodes import kinds
from nodes.dbt.selectors import split_values
from nodes.expansion import FlowPlan
from nodes.kinds.base import COMMON, Kind, Option
from nodes.kinds.script import argument_problems
from nodes.models import Connection, Node
from nodes.scripts import packages_of
from nodes.scripts.packages import reads_of_packages
from nodes.scripts.renewal import told_of
from nodes.services import check_node


class ChipsField(forms.CharField):
    """A list of values, one a line. In: `at_commas`, whether a comma ends a value, too; in a selector it means AND."""

    widget = forms.Textarea(attrs={"rows": 4, "cols": 60, "spellcheck": "false"})

    def __init__(self, *, at_commas: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.at_commas = at_commas

    def prepare_value(self, value: Any) -> Any:
        """A list as lines."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Lines as a list."""
        if not isinstance(value, str):
            return value or []
        return split_values(value.replace(",", "\n") if self.at_commas else value)


class ArgumentsWidget(forms.Widget):
    """Rows of a key and a value, in order: one pair of inputs a row, as `<name>_key` and `<name>_value`."""

    template_name = "nodes/_arguments.html"

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, str]] | None:
        """The rows as typed, without those that were left empty; None when the form has no such rows."""
        if f"{name}_key" not in data:
            return None
        pairs = zip(data.getlist(f"{name}_key"), data.getlist(f"{name}_value"), strict=False)
        return [{"key": key.strip(), "value": value} for key, value in pairs if key.strip() or value]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Whether the form has no such rows."""
        return f"{name}_key" not in data

    def format_value(self, value: Any) -> list[dict[str, str]]:
        """The rows to show; JSON where a form was filled from a draft."""
        return value if isinstance(value, list) else []


class ArgumentsField(forms.Field):
    """The parameters of a script, in order."""

    widget = ArgumentsWidget

    def to_python(self, value: Any) -> list[dict[str, str]]:
        """A list of {"key", "value"}."""
        return value or []

    def validate(self, value: Any) -> None:
        """Check every parameter."""
        super().validate(value)
        if problems := list(argument_problems(value)):
            raise ValidationError(problems)


def check_node_form(form: forms.Form | forms.ModelForm, node: Node, after: list[Node] | None = None) -> FlowPlan | None:
    """Plan the flow with `node` as it would be; add what does not work to the form, field by field, and give None."""
    try:
        return check_node(node, after)
    except ValidationError as error:
        by_field: dict[Any, Any] = {None: error.messages}
        if hasattr(error, "error_dict"):
            by_field = error.message_dict
        for name, messages in by_field.items():
            form.add_error(name if name in form.fields else None, messages)
    except FileNotFoundError:
        environment = node.flow.environment
        form.add_error(None, f"The parsed project of {environment} is no longer on disk. Sync the environment again.")
    return None


class NodeForm(forms.ModelForm):
    """What the forms of all kinds of nodes share: the name, what it runs after, and how it is retried."""

    version = forms.IntegerField(widget=forms.HiddenInput, required=False, min_value=0)
    runs_after = forms.ModelMultipleChoiceField(
        Node.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="This node starts after all of these succeed. dex already follows the order of refs.",
    )
    #: The flow as it would be, once the form was found valid.
    plan: FlowPlan | None = None
    kind: ClassVar[Kind]  # `form_of` sets it

    def __init__(self, *args: Any, flow: Flow, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.flow = flow
        self.instance.flow = flow
        others = flow.nodes.exclude(pk=self.instance.pk) if self.instance.pk else flow.nodes.all()
        self.fields["runs_after"].queryset = others  # type: ignore[attr-defined]
        self.initial.setdefault("version", flow.version)
        self.fields["retry_patterns"].widget.attrs["rows"] = 2
        for option in self.kind.options:
            self.fields[option.name] = _field_of(option)
            self.initial.setdefault(option.name, self.instance.options.get(option.name, option.default))
        if self.instance.pk:
            self.initial["runs_after"] = list(self.instance.links_up.values_list("up_id", flat=True))

    def clean_name(self) -> str:
        """A name that no other node of the flow has."""
        name = str(self.cleaned_data["name"])
        if self.flow.nodes.filter(name=name).exclude(pk=self.instance.pk).exists():
            raise ValidationError(f"This flow already has a node named {name}.")
        return name

    def clean(self) -> dict[str, Any]:
        """Expands and orders the flow as it would be: what does not work is said before anything is written."""
        cleaned = super().clean() or {}
        if not self.errors:
            after = list(cleaned.pop("runs_after"))
            options = {option.name: cleaned[option.name] for option in self.kind.options}
            node = self.unsaved(cleaned)
            node.options = self.instance.options = options
            self.plan = check_node_form(self, node, after)
            cleaned["runs_after"] = after
        return cleaned

    def unsaved(self, cleaned: dict[str, Any]) -> Node:
        """The node as it would be."""
        node = Node(pk=self.instance.pk, flow=self.flow, kind=self.instance.kind, position=self.instance.position)
        for name in self._meta.fields or ():
            setattr(node, name, cleaned[name])
        return node

    @property
    def first(self) -> list[forms.BoundField]:
        """The fields that are shown first."""
        return [self[name] for name in self.kind.main]

    @property
    def more(self) -> list[forms.BoundField]:
        """The fields below "More"."""
        return [self[name] for name in self.kind.fields if name not in self.kind.main]

    @property
    def more_has_errors(self) -> bool:
        """Whether "More" must be open for an error to be seen."""
        return any(field.errors for field in self.more)


def _field_of(option: Option) -> forms.Field:
    """The field of a setting that has no column."""
    options: dict[str, Any] = {"label": option.label or None, "help_text": option.help, "required": option.required}
    match option.default:
        case bool():
            return forms.BooleanField(**{**options, "required": False})
        case int():
            return forms.IntegerField(**{**options, "required": True})
        case list():
            return ChipsField(**options)
    return forms.CharField(**options)


class TransformationForm(NodeForm):
    """Which models, and what to do with them."""

    include = ChipsField(
        required=False,
        help_text="Names, tag:staging, path:models/core, +x (x and its upstream), x+ (x and its downstream), or "
        "tag:a & tag:b (models with both tags). Press Enter or comma after each value. Empty: all models.",
    )
    exclude = ChipsField(required=False, help_text="Models to leave out. Exclude takes precedence over include.")


class ConnectionNodeForm(NodeForm):
    """Which tables of which connection."""

    streams = ChipsField(
        label="Tables",
        required=False,
        at_commas=True,
        help_text="Press Enter or comma after each name. Empty: all tables.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connections = Connection.objects.filter(project=self.flow.environment.project_id)
        self.fields["connection"].queryset = connections  # type: ignore[attr-defined]
        field: Any = self.fields["connection"]
        field.empty_label, field.required = "Choose a connection", True
        field.error_messages["required"] = "Choose the connection to load."
        self.fields["full_refresh"].help_text = "Reload all tables from scratch, including incremental ones"

    @property
    def has_connections(self) -> bool:
        """Whether there is one to choose."""
        field: Any = self.fields["connection"]
        return bool(field.queryset.exists())

    @property
    def told(self) -> list[tuple[str, str, bool]]:
        """(id, name, whether this person may ask its source something) of every connection that can be chosen."""
        if not acting().may("nodes.view_connection"):
            return []
        asks = acting().may("nodes.change_connection")
        kinds_of: Any = self.fields["connection"]
        return [(str(row.pk), row.name, asks) for row in kinds_of.queryset]


class ScriptForm(NodeForm):
    """Which script package, with which parameters."""

    package = forms.ChoiceField(error_messages={"required": "Choose the package to run."})
    arguments = ArgumentsField(
        label="Parameters",
        required=False,
        help_text="The script gets the values in this order, as sys.argv[1], sys.argv[2] and so on, and by key. "
        "Values can contain {{ VARIABLE }}, {{ params.NAME }} and {{ nodes.NODE.output.KEY }}.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        revision = self.flow.environment.current_revision
        self.packages = packages_of(Path(revision.project_dir)) if revision else []
        names = [package.name for package in self.packages]
        gone = [(self.instance.package, f"{self.instance.package} (no longer in the project)")]
        field = self.fields["package"]
        field.choices = [  # type: ignore[attr-defined]
            ("", "Choose a package"),
            *((name, name) for name in names),
            *(gone if self.instance.package and self.instance.package not in names else ()),
        ]

    @property
    def told(self) -> list[dict[str, Any]]:
        """For each package what a person wants to know of it: its README, and what it reads that is there or is not."""
        there, secrets = variable_names(self.flow.environment), secret_names(self.flow.environment)
        kinds_of = {name: "secret" if name in secrets else "variable" for name in there}
        environments = told_of(self.packages)
        rows = []
        for package, reads in zip(self.packages, reads_of_packages(self.packages), strict=True):
            rows.append(
                {
                    "package": package,
                    "environment": environments.get(package.name),
                    "places": reads.places,
                    "last": max(reads.places, default=0),
                    "names": [(name, kinds_of.get(name, "")) for name in reads.names],
                }
            )
        return rows

    @property
    def seen(self) -> list[tuple[str, bool]]:
        """(name, whether it is a secret) of every variable that a script of this environment sees."""
        secrets = secret_names(self.flow.environment)
        return [(name, name in secrets) for name in sorted(variable_names(self.flow.environment))]


def form_of(node: Node) -> type[NodeForm]:
    """The form of a node: that of its kind, with the columns that the kind uses."""
    return _form_of(kinds.of(node.kind))


@cache
def _form_of(kind: Kind) -> type[NodeForm]:
    base = type(f"{type(kind).__name__}Form", (import_string(kind.form),), {"kind": kind})
    form: Any = modelform_factory(Node, form=base, fields=["name", *kind.columns, *COMMON])
    return cast(type[NodeForm], form)
