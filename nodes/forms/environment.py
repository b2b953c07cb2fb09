"""The form of an environment with the fields of its warehouse, as the descriptions of warehouses have them."""

import json
from typing import Any

from django import forms

from flows.projects.forms import EnvironmentForm
from nodes.dbt.warehouses.registry import WAREHOUSES
from nodes.dbt.warehouses.rendering import accept
from nodes.fields.form import Field, fields_of

OWN = ""
PLACES = [(OWN, "From profiles.yml of the project, or a DuckDB file if there is none")]
PLAIN = {"spellcheck": "false", "autocomplete": "off", "autocapitalize": "off"}


def field_name(kind: str, name: str) -> str:
    """What a setting of a kind of warehouse is called in the form."""
    return f"{kind}_{name}"


def _field(kind: str, each: Field) -> forms.Field:
    attrs: dict[str, str] = {}
    for name, values in each.when.items():  # admin.js hides the row while one of them does not hold
        attrs["data-shown-when"] = (
            f"{attrs.get('data-shown-when', '')} {field_name(kind, name)}={'|'.join(values)}".strip()
        )
    common: dict[str, Any] = {"label": each.label, "required": False, "help_text": each.help}
    if each.kind == "boolean":
        return forms.BooleanField(widget=forms.CheckboxInput(attrs=attrs), initial=each.default, **common)
    if each.kind == "choice":
        choices = [(value, each.words.get(value, value)) for value in each.choices]
        return forms.ChoiceField(choices=choices, initial=each.default, widget=forms.Select(attrs=attrs), **common)
    first = each.example or ("" if each.default is None else str(each.default))
    attrs |= {**PLAIN, "placeholder": first}
    if each.kind == "json":
        widget: forms.Widget = forms.Textarea(attrs={**attrs, "rows": 2, "class": "mono"})
    else:
        widget = forms.TextInput(attrs=attrs)
    return forms.CharField(max_length=4000, widget=widget, **common)


def _declared() -> dict[str, forms.Field]:
    return {
        field_name(kind, each.name): _field(kind, each)
        for kind, warehouse in WAREHOUSES.items()
        for each in fields_of(warehouse)
    }


#: The fields of every kind of warehouse. The admin wants fields on the class, so they are not made for each form.
_FieldsOfWarehouses: Any = type("_FieldsOfWarehouses", (forms.ModelForm,), _declared())


class WarehouseForm(_FieldsOfWarehouses, EnvironmentForm):
    """An environment; its warehouse as the project says, or built from fields that may name variables."""

    warehouse_type = forms.ChoiceField(
        label="Warehouse type",
        required=False,
        choices=[*PLACES, *((kind, warehouse.title) for kind, warehouse in WAREHOUSES.items())],
    )

    class Meta(EnvironmentForm.Meta):
        pass

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept = self.instance.warehouse or {}
        self.initial.setdefault("warehouse_type", kept.get("type", OWN))
        for name, value in kept.items():
            shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
            self.initial.setdefault(field_name(kept["type"], name), shown)

    def clean(self) -> dict[str, Any]:
        """Gather the fields of the chosen kind; each text may hold `{{ NAME }}`."""
        cleaned = super().clean() or {}
        kind = cleaned.get("warehouse_type", OWN)
        if kind == OWN:
            cleaned["warehouse"] = {}
            return cleaned
        typed = {each.name: self._typed(kind, each) for each in fields_of(WAREHOUSES[kind])}
        kept, errors = accept(kind, typed)
        for name, message in errors.items():
            place = field_name(kind, name)
            self.add_error(place if place in self.fields else None, message)
        if cleaned.get("target"):
            self.add_error("target", "This warehouse does not use profiles.yml. Leave the target empty.")
        cleaned["warehouse"] = kept
        return cleaned

    def _typed(self, kind: str, each: Field) -> str:
        value = self.cleaned_data.get(field_name(kind, each.name))
        return ("true" if value else "false") if each.kind == "boolean" else str(value or "")

    def _post_clean(self) -> None:
        super()._post_clean()
        self.instance.warehouse = self.cleaned_data.get("warehouse", {})


def fieldsets() -> list[tuple[str, dict[str, Any]]]:
    """The groups of fields that the admin shows: of each kind, those that everybody needs, and the others folded."""
    made: list[tuple[str, dict[str, Any]]] = []
    for kind, warehouse in WAREHOUSES.items():
        shown = f"when-warehouse_type-{kind}"
        main = [field_name(kind, each.name) for each in fields_of(warehouse) if not each.advanced]
        more = [field_name(kind, each.name) for each in fields_of(warehouse) if each.advanced]
        about = {"classes": [shown], "description": " ".join(warehouse.notes), "fields": main}
        made.append((warehouse.title, about))
        if more:
            made.append((f"More options for {warehouse.title}", {"classes": ["collapse", shown], "fields": more}))
    return made
