"""The form that asks for the values of a flow's parameters."""

from typing import Any

from django import forms

from flows.models import Flow
from flows.parameters import ParameterError, check_values

WIDGETS = {
    "date": forms.DateInput(attrs={"type": "date"}),
    "flag": forms.Select(choices=[("", "---------"), ("true", "yes"), ("false", "no")]),
}


class StartForm(forms.Form):
    """One field a declared parameter, filled with its default; an empty field means the default."""

    def __init__(self, flow: Flow, data: Any = None) -> None:
        super().__init__(data, prefix="values")
        self.flow = flow
        self.values: dict[str, Any] = {}
        for entry in flow.parameters:
            kind, default = entry.get("type", "text"), entry.get("default")
            if isinstance(default, bool):
                default = str(default).lower()
            self.fields[entry["name"]] = forms.CharField(
                label=entry["name"],
                required=bool(entry.get("required")) and default is None,
                strip=False,
                initial=default,
                widget=WIDGETS.get(kind, forms.TextInput()),
                help_text=kind,
            )

    def clean(self) -> dict[str, Any]:
        """The values, converted to their types, or the error beside the field that it is about."""
        cleaned = super().clean() or {}
        for entry in self.flow.parameters:
            name = entry["name"]
            given = {name: cleaned[name]} if cleaned.get(name) else {}
            if name in self.errors:
                continue
            try:
                self.values |= check_values([entry], given)
            except ParameterError as error:
                self.add_error(name, str(error))
        return cleaned
