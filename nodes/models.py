"""What a flow consists of: Node, Link, Task, and the record of what an expansion changed."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from flows.models import Flow, Revision


class Node(models.Model):
    """A step of a flow: what it selects, and how that is executed."""

    class Kind(models.TextChoices):
        """What a node does; nodes.kinds.KINDS has one entry for each."""

        TRANSFORMATION = "transformation", "Transformation"

    class Command(models.TextChoices):
        """What happens to the selected models."""

        BUILD = "build", "Run models and test (dbt build)"
        RUN = "run", "Run models (dbt run)"
        TEST = "test", "Test only (dbt test)"

    class IndirectSelection(models.TextChoices):
        """Which tests of the selected models run; dbt's four modes."""

        BUILDABLE = "buildable", "Buildable: tests whose other models are upstream"
        EAGER = "eager", "Eager: every test that touches a selected model"
        CAUTIOUS = "cautious", "Cautious: only tests whose models are all selected"
        EMPTY = "empty", "Empty: no tests but those named"

    flow = models.ForeignKey(Flow, on_delete=models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.TRANSFORMATION)
    position = models.PositiveIntegerField(default=0, help_text="Of two nodes with the same model, the first builds it")
    x = models.FloatField(default=0, editable=False)
    y = models.FloatField(default=0, editable=False)

    include = models.JSONField(default=list, blank=True, help_text="Selectors; empty means all models")
    exclude = models.JSONField(default=list, blank=True, help_text="Selectors of what is left out; exclude wins")
    command = models.CharField(max_length=10, choices=Command, default=Command.BUILD)
    indirect_selection = models.CharField(
        "tests", max_length=10, choices=IndirectSelection, default=IndirectSelection.BUILDABLE
    )
    full_refresh = models.BooleanField(default=False, help_text="Rebuild incremental models and seeds from nothing")
    allow_empty = models.BooleanField(default=False, help_text="A selection without any model is not an error")
    threads = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text="Models of this node at the same time; empty for the environment's number",
    )
    retries = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(20)], help_text="Empty for the flow's number"
    )
    retry_delay = models.PositiveIntegerField("seconds before a retry", null=True, blank=True)
    timeout = models.PositiveIntegerField("seconds a task may take", null=True, blank=True)
    pool = models.CharField(
        max_length=100, blank=True, help_text="Name of a pool of which every task of this node takes one slot"
    )

    class Meta:
        ordering: ClassVar = ["flow", "position", "id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["flow", "name"], name="one_node_per_name_and_flow")]

    def __str__(self) -> str:
        return self.name


class Link(models.Model):
    """An explicit arrow: nothing of `down` starts before all of `up` succeeded."""

    flow = models.ForeignKey(Flow, on_delete=models.CASCADE, related_name="links")
    up = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="links_down")
    down = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="links_up")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["up", "down"], name="one_link_per_pair"),
            models.CheckConstraint(
                condition=~models.Q(up=models.F("down")),
                name="no_link_to_itself",
                violation_error_message="A node cannot run after itself.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.up} -> {self.down}"


class Task(models.Model):
    """One thing a node will do: a model, seed, snapshot, function, or a test that stands by itself."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="tasks")
    unique_id = models.CharField(max_length=500)
    identifier = models.CharField(max_length=500)
    resource_type = models.CharField(max_length=30)
    tags = models.JSONField(default=list)
    path = models.CharField(max_length=1000, blank=True)
    materialized = models.CharField(max_length=100, blank=True)
    depends_on = models.JSONField(default=list)
    needed_by = models.JSONField(default=list)
    tests = models.JSONField(default=list)
    runs = models.BooleanField(default=True, help_text="False: selected, but not run by the node's command")
    built_by = models.CharField(max_length=200, blank=True, help_text="The earlier node that builds this model")
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["node", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["node", "unique_id"], name="one_task_per_resource_and_node")
        ]

    def __str__(self) -> str:
        return self.identifier


class Expansion(models.Model):
    """What one expansion of a node changed: which resources came, which went, since which revision."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="expansions")
    revision = models.ForeignKey(Revision, on_delete=models.SET_NULL, null=True, related_name="+")
    since = models.ForeignKey(Revision, on_delete=models.SET_NULL, null=True, related_name="+")
    came = models.JSONField(default=list)
    went = models.JSONField(default=list)
    reason = models.CharField(max_length=50)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.node}: +{len(self.came)} -{len(self.went)}"
