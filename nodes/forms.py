"""The form of a node: chips as lines, errors at the field."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from nodes.models import Node
from nodes.selectors import split_values
from nodes.services import check_node


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

    def clean(self) -> dict[str, Any]:
        """Expands and orders the flow as it would be: what does not work is said before anything is written."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        node = Node(pk=self.instance.pk, **{name: cleaned[name] for name in self.Meta.fields})
        try:
            check_node(node)
        except ValidationError as error:
            self.add_error(None, error)
        return cleaned
