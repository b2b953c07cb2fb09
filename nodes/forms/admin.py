"""Nodes and links as rows of the admin."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from flows.forms import DeclarationsField
from nodes.forms.node import ChipsField, check_node_form
from nodes.models import Link, Node
from nodes.services import check_link


class NodeForm(forms.ModelForm):
    """A node of any kind, as a row of the admin."""

    include = ChipsField(
        required=False,
        help_text="One selector a line: a name, tag:staging, path:models/core, +x, x+; a comma means AND. "
        "Empty means all models.",
    )
    exclude = ChipsField(required=False, help_text="What is left out; exclude always wins.")
    streams = ChipsField(label="Tables", required=False, at_commas=True, help_text="Tables to load; empty means all.")
    arguments = DeclarationsField(
        label="Parameters", required=False, help_text=str(Node._meta.get_field("arguments").help_text)
    )

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
            "connection",
            "streams",
            "one_task",
            "package",
            "arguments",
            "retries",
            "retry_delay",
            "retry_on",
            "retry_patterns",
            "timeout",
            "pool",
            "position",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "flow" in self.fields:
            self.fields["flow"].disabled = True  # its links and tasks belong to the flow that it is in

    def clean_arguments(self) -> list[Any]:
        """The parameters; nothing typed means none."""
        return self.cleaned_data["arguments"] or []

    def clean(self) -> dict[str, Any]:
        """Expands and orders the flow as it would be: what does not work is said before anything is written."""
        cleaned = super().clean() or {}
        if not self.errors:
            check_node_form(self, Node(pk=self.instance.pk, **{name: cleaned[name] for name in NodeForm.Meta.fields}))
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
