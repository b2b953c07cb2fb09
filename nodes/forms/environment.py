"""The form of an environment with the fields of its warehouse."""

from typing import Any

from django import forms

from flows.projects.forms import EnvironmentForm
from nodes.dbt.warehouse import FIELDS, check_warehouse

OWN, NAMES = "", {"postgres": "PostgreSQL", "duckdb": "DuckDB"}
PLACES = [(OWN, "From profiles.yml of the project, or a DuckDB file if there is none")]


def _declared() -> dict[str, forms.Field]:
    made: dict[str, forms.Field] = {}
    for kind, fields in FIELDS.items():
        for name, label, _, first in fields:
            made[f"{kind}_{name}"] = forms.CharField(
                label=label,
                required=False,
                max_length=1000,
                help_text="Names a secret: {{ WAREHOUSE_PASSWORD }}." if name == "password" else "",
                widget=forms.TextInput(attrs={"placeholder": first, "spellcheck": "false", "autocomplete": "off"}),
            )
    return made


#: The fields of every kind of warehouse. The admin wants fields on the class, so they are not made for each form.
_FieldsOfWarehouses: Any = type("_FieldsOfWarehouses", (forms.ModelForm,), _declared())


class WarehouseForm(_FieldsOfWarehouses, EnvironmentForm):
    """An environment; its warehouse as the project says, or built from fields that may name variables."""

    warehouse_type = forms.ChoiceField(label="Warehouse type", required=False, choices=[*PLACES, *NAMES.items()])

    class Meta(EnvironmentForm.Meta):
        pass

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept = self.instance.warehouse or {}
        self.initial.setdefault("warehouse_type", kept.get("type", OWN))
        for name, value in kept.items():
            self.initial.setdefault(f"{kept['type']}_{name}", value)

    def clean(self) -> dict[str, Any]:
        """Gather the fields of the chosen kind; each may hold `{{ NAME }}`."""
        cleaned = super().clean() or {}
        kind = cleaned.get("warehouse_type", OWN)
        if kind == OWN:
            cleaned["warehouse"] = {}
            return cleaned
        typed = {name: cleaned.get(f"{kind}_{name}", "") for name, *_ in FIELDS[kind]}
        for name, _, must, first in FIELDS[kind]:
            if must and not typed[name] and "{{" not in first:
                typed[name] = first  # the placeholder says so
        fields = {"type": kind, **{name: value for name, value in typed.items() if value}}
        for name, said in check_warehouse(fields).items():
            self.add_error(f"{kind}_{name}" if f"{kind}_{name}" in self.fields else None, said)
        if cleaned.get("target"):
            self.add_error("target", "This warehouse does not use profiles.yml. Leave the target empty.")
        cleaned["warehouse"] = fields
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()
        self.instance.warehouse = self.cleaned_data.get("warehouse", {})


def field_names(kind: str) -> list[str]:
    """The names of a kind's fields in the form."""
    return [f"{kind}_{name}" for name, *_ in FIELDS[kind]]
