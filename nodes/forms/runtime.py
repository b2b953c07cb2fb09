"""The form of a project's dbt runtime."""

from typing import Any

from django import forms

from flows.models import Project
from nodes.dbt.runtime import built_in
from nodes.models import DbtRuntime, RuntimeBuild
from nodes.runtimes import choices
from nodes.runtimes.wanted import RuntimeProblem

LONGEST = 20_000  # characters


class RuntimeForm(forms.Form):
    """Where dbt comes from; what is wrong is said beside the field where it was typed."""

    source = forms.ChoiceField(label="dbt comes from", widget=forms.RadioSelect)
    requirements = forms.CharField(
        label="Requirements",
        required=False,
        max_length=LONGEST,
        help_text="One per line: dbt Core and the adapter, with versions.",
        widget=forms.Textarea(
            attrs={
                "rows": 4,
                "spellcheck": "false",
                "autocapitalize": "off",
                "placeholder": "dbt-core~=1.10.0\ndbt-snowflake",
            }
        ),
    )

    def __init__(self, data: Any, row: DbtRuntime, suggested: tuple[str, ...] = ()) -> None:
        initial = {"source": row.source, "requirements": "\n".join(row.requirements or suggested)}
        super().__init__(data, initial=initial, auto_id="runtime_%s")
        files = ", ".join(sorted({str(each["file"]) for each in choices.found_of(row).values() if each.get("dbt")}))
        sources, shipped = DbtRuntime.Source, built_in()
        field: Any = self.fields["source"]
        field.choices = [
            (sources.BUILT_IN.value, f"dex: dbt {shipped.dbt} with {' and '.join(shipped.adapters)}"),
            (sources.FOUND.value, f"The repository: {files or 'a requirements file that names dbt'}"),
            (sources.TYPED.value, "Requirements entered here"),
        ]

    def choose(self, project: Project) -> list[RuntimeBuild] | None:
        """Let the project use what was chosen; None where that cannot be, which is said at the field."""
        if not self.is_valid():
            return None
        source = self.cleaned_data["source"]
        try:
            return choices.choose(project, source, self.cleaned_data["requirements"])
        except RuntimeProblem as error:
            self.add_error("requirements" if source == DbtRuntime.Source.TYPED else "source", str(error))
            return None
