"""The form of a variable. What was typed as a secret never goes back to the page, not even beside a mistake."""

from typing import Any

from django import forms

from flows.models import Environment, Project
from flows.variables.models import Variable
from flows.variables.sealed import problem_of
from flows.variables.values import save_variable


class ValueArea(forms.Textarea):
    """A text of several lines that can be withheld from the page."""

    withheld = False

    def format_value(self, value: Any) -> str | None:
        """The text, or nothing."""
        return None if self.withheld else super().format_value(value)


class VariableForm(forms.Form):
    """A new variable, or another value for `row`."""

    name = forms.CharField(
        max_length=100,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off", "autocapitalize": "characters"}),
        help_text="Upper-case letters, digits and underscores, such as API_KEY.",
    )
    scope = forms.ChoiceField(label="Scope", help_text="Values of an environment override those of its project.")
    value = forms.CharField(
        required=False,
        strip=False,
        widget=ValueArea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off", "autocapitalize": "off"}),
    )
    is_secret = forms.BooleanField(
        label="Mark as secret",
        required=False,
        help_text="Encrypted, masked in logs, and never shown again.",
    )

    def __init__(
        self, data: Any = None, *, row: Variable | None = None, chosen: Environment | None = None, **kwargs: Any
    ) -> None:
        initial = {"value": row.value, "is_secret": row.is_secret} if row else {}
        super().__init__(data, initial=initial, **kwargs)
        self.row = row
        widget: Any = self.fields["value"].widget
        widget.withheld = bool((row and row.is_secret) or (data and data.get("is_secret")))
        if row is not None:
            del self.fields["name"], self.fields["scope"]
            if row.is_secret:
                self.fields["value"].label = "New value"
                wrong = problem_of(row, "token")
                lost = f"dex cannot read the stored value: {wrong}. Enter it again, or restore the encryption keys."
                self.fields["value"].help_text = lost if wrong else "Leave empty to keep the current value."
            return
        scope: Any = self.fields["scope"]
        scope.choices = [("", "Choose a project or an environment")]
        for project in Project.objects.prefetch_related("environments"):
            scope.choices += [(f"p{project.pk}", f"{project}, all environments")]
            scope.choices += [(f"e{place.pk}", f"{project} / {place.name}") for place in project.environments.all()]
        if chosen is not None:
            self.initial["scope"] = f"e{chosen.pk}"

    def clean_value(self) -> str:
        """As it was typed; browsers end lines with CR and LF, keys and scripts do not."""
        return str(self.cleaned_data["value"]).replace("\r\n", "\n")

    def save(self) -> Variable:
        """Keep it. Raises VariableError, encryption.Unreadable, PermissionDenied."""
        value, secret = self.cleaned_data["value"], self.cleaned_data["is_secret"]
        kept = None if not value and (secret or (self.row and self.row.is_secret)) else value
        if self.row is not None:
            row = self.row
            return save_variable(row.project, row.environment, row.name, kept, secret=secret, row=row)
        kind, key = self.cleaned_data["scope"][0], int(self.cleaned_data["scope"][1:])
        environment = Environment.objects.select_related("project").get(pk=key) if kind == "e" else None
        project = environment.project if environment else Project.objects.get(pk=key)
        return save_variable(project, environment, self.cleaned_data["name"], kept, secret=secret)
