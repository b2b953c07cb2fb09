"""The table of variables and secrets."""

from typing import ClassVar

from django.db import models

from flows.variables.sealed import SealedField


def _place(row: "Variable") -> dict[str, object]:
    return {"id": row.pk, "name": row.name, "project": row.project_id, "environment": row.environment_id}


class Variable(models.Model):
    """A value with a name, for a whole project or, where it has one, for an environment alone.

    A secret's value is in `token` alone, encrypted and bound to this row; the database refuses it in `value`.
    """

    project = models.ForeignKey("flows.Project", on_delete=models.CASCADE, related_name="variables")
    environment = models.ForeignKey(
        "flows.Environment", on_delete=models.CASCADE, null=True, blank=True, related_name="variables"
    )
    name = models.CharField(max_length=100)
    value = models.TextField(blank=True)
    is_secret = models.BooleanField("mark as secret", default=False)
    token = SealedField(binding=_place, rotated_at="rotated_at")
    fingerprint = models.CharField(
        max_length=8,
        blank=True,
        editable=False,
        help_text="Shows whether two secrets are the same, without revealing them",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(help_text="When the value was last entered")
    updated_by = models.CharField(max_length=200)
    rotated_at = models.DateTimeField(null=True, blank=True, help_text="When it was last encrypted with another key")

    class Meta:
        app_label = "flows"
        ordering: ClassVar = ["project__name", "name", "environment__name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=models.Q(environment__isnull=True),
                name="one_variable_per_name_and_project",
            ),
            models.UniqueConstraint(
                fields=["environment", "name"],
                condition=models.Q(environment__isnull=False),
                name="one_variable_per_name_and_environment",
            ),
            models.CheckConstraint(
                condition=models.Q(is_secret=False, token="") | models.Q(is_secret=True, value=""),
                name="a_secret_has_no_plain_value",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scope(self) -> str:
        """Where it holds, in words."""
        return str(self.environment) if self.environment else f"{self.project}, all environments"
