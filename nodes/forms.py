"""The form of a node: chips as lines, errors at the field."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from nodes.models import Link, Node
from nodes.selectors import split_values
from nodes.services import check_link, check_node


class ChipsField(forms.CharField):
    """A list of selectors, one a line; a comma ends a value too."""

    widget = forms.Textarea(attrs={"rows": 4, "cols": 60, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """A list as lines."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Lines as a list."""
        return split_values(value) if isinstance(value, str) else value or []


class NodeForm(forms.ModelForm):
    """A Transformation node."""

    include = ChipsField(
        required=False,
        help_text="One selector a line: a name, tag:staging, path:models/core, +x, x+. Empty means all models.",
    )
    exclude = ChipsField(required=False, help_text="What is left out; exclude always wins.")

    class Meta:
        model = Node
        fields: ClassVar = [
            "flow",
            "name",
            "kind",
            "include",
            "exclude",
            "command",
            "indirect_selection",
            "full_refresh",
            "allow_empty",
            "threads",
            "retries",
            "retry_delay",
            "timeout",
            "pool",
            "position",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "flow" in self.fields:
            self.fields["flow"].disabled = True  # its links and tasks belong to the flow that it is in

    def clean(self) -> dict[str, Any]:
        """Expands and orders the flow as it would be: what does not work is said before anything is written."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        node = Node(pk=self.instance.pk, **{name: cleaned[name] for name in NodeForm.Meta.fields})
        try:
            check_node(node)
        except ValidationError as error:
            self.add_error(None, error)
        except FileNotFoundError:
            environment = node.flow.environment
            self.add_error(None, f"What was parsed of {environment} is gone from the disk. Sync the environment again.")
        return cleaned


class NodeOfFlowField(forms.ModelChoiceField):
    """A node, named with its flow: two flows may have nodes of one name."""

    def label_from_instance(self, obj: Any) -> str:
        """The words of the choice."""
        return f"{obj.flow} / {obj}"


class LinkForm(forms.ModelForm):
    """An arrow between two nodes of a flow."""

    up = NodeOfFlowField(Node.objects.select_related("flow"), help_text="All of this node succeeds first ...")
    down = NodeOfFlowField(Node.objects.select_related("flow"), help_text="... before anything of this one starts.")

    class Meta:
        model = Link
        fields: ClassVar = ["up", "down"]

    def clean(self) -> dict[str, Any]:
        """Refuses an arrow that closes a circle, with the circle's names."""
        cleaned = super().clean() or {}
        if not self.errors and cleaned["up"] != cleaned["down"]:  # that one the database's own rule says
            try:
                check_link(cleaned["up"], cleaned["down"])
            except ValidationError as error:
                self.add_error(None, error)
        return cleaned
