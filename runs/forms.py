"""The forms of a start: the values of a flow's parameters, and a time to come."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError

from flows.models import Flow
from flows.parameters import ParameterError, check_values
from flows.scheduling.cron import CronError, zone_of

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


class WhenForm(forms.Form):
    """A time to come, as a local time of a zone."""

    at = forms.DateTimeField(
        label="Start at",
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        error_messages={
            "required": "Choose the day and the time.",
            "invalid": "Enter a time such as 2026-01-31 14:30.",
        },
    )
    zone = forms.CharField(
        label="Time zone", max_length=60, widget=forms.TextInput(attrs={"list": "zones", "spellcheck": "false"})
    )

    def __init__(self, flow: Flow, data: Any = None) -> None:
        super().__init__(data, prefix="when", initial={"zone": flow.time_zone})

    def clean_zone(self) -> ZoneInfo:
        """A zone of the IANA database."""
        try:
            return zone_of(self.cleaned_data["zone"])
        except CronError as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """`at` as an aware time; of a time that is there twice in autumn, the first."""
        cleaned = super().clean() or {}
        at, zone = cleaned.get("at"), cleaned.get("zone")
        if at is None or zone is None:
            return cleaned
        typed = at.replace(tzinfo=None)
        aware = typed.replace(tzinfo=zone)
        if aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != typed:
            self.add_error("at", f"This time does not exist in {zone}, because clocks go forward then.")
        cleaned["at"] = aware
        return cleaned
