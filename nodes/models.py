"""What a flow consists of: Node, Link, Task, Connection, and the records of what was changed: Change, Expansion."""

from datetime import timedelta
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from flows.models import Environment, Flow, Project, RetryOn, Revision, check_retries
from flows.variables.sealed import SealedField
from nodes.runtimes.models import DbtRuntime as DbtRuntime
from nodes.runtimes.models import RuntimeBuild as RuntimeBuild
from nodes.runtimes.models import RuntimeLock as RuntimeLock

PATIENCE = timedelta(minutes=5)  # with a worker that was asked to renew an environment


class Connection(models.Model):
    """Where data comes from: a source of tables (streams), how each is loaded, and the dataset they land in."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="connections")
    name = models.CharField(max_length=200)
    description = models.TextField(max_length=10_000, blank=True)
    connector = models.CharField(max_length=50, blank=True, help_text="A key of nodes.connections.connectors.catalogue")
    config = models.JSONField(default=dict, blank=True, help_text="Settings; can contain {{ NAME }}, never a secret")
    sealed = SealedField(
        binding=lambda row: {"connection": row.pk}, help_text="Its secret settings, encrypted and bound to the row"
    )
    dataset = models.CharField(max_length=200, help_text="The warehouse schema for its tables")
    streams = models.JSONField("tables", default=list, blank=True, help_text="Names of the tables that it loads")
    settings = models.JSONField(default=dict, blank=True, help_text="Table -> how it is loaded; see StreamSettings")
    offered = models.JSONField(
        default=list, blank=True, editable=False, help_text="The tables of the source when last read"
    )
    accepted = models.JSONField(
        default=list, blank=True, editable=False, help_text="Tables whose changed columns the next load accepts"
    )
    parallel = models.PositiveSmallIntegerField(
        "tables at the same time", default=2, validators=[MinValueValidator(1), MaxValueValidator(32)]
    )

    class Meta:
        ordering: ClassVar = ["project__name", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="one_connection_per_name_and_project")
        ]

    def __str__(self) -> str:
        return self.name


class Load(models.Model):
    """When a table of a connection was last loaded into an environment, and how many rows came."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="loads")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="+")
    table = models.CharField(max_length=200)
    at = models.DateTimeField()
    rows = models.BigIntegerField(null=True, blank=True)
    result = models.JSONField(default=dict, help_text="Result of the load: rows, bytes, cursor, changed columns")
    loaded_by = models.BigIntegerField(null=True, blank=True, help_text="Id of the task run")

    class Meta:
        ordering: ClassVar = ["connection", "table"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["connection", "environment", "table"], name="one_load_per_table_and_environment"
            )
        ]

    def __str__(self) -> str:
        return f"{self.connection}: {self.table}"


class Check(models.Model):
    """A question that a person has a worker ask, and what came of it."""

    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField(auto_now_add=True)
    taken_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    ok = models.BooleanField(default=False)
    kind = models.CharField(max_length=20, blank=True, help_text="Type of problem: name, port, auth, permission ...")
    message = models.CharField(max_length=2000, blank=True)
    settings_digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="A keyed digest of the settings that were used"
    )

    class Meta:
        abstract = True
        ordering: ClassVar = ["-id"]


class ConnectionCheck(Check):
    """A check of a connection, requested by a person, made by a worker: does the source answer, what tables has it."""

    class What(models.TextChoices):
        """What is checked."""

        TEST = "test", "Test"
        DISCOVER = "discover", "Tables"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="checks")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="+")
    what = models.CharField(max_length=10, choices=What)

    class Meta(Check.Meta):
        pass

    def __str__(self) -> str:
        return f"{self.get_what_display()} of {self.connection}"


class WarehouseCheck(Check):
    """A test of the warehouse of an environment: whether the project's dbt can connect, and what is wrong if not."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="warehouse_checks")
    details = models.CharField(max_length=2000, blank=True, help_text="What the adapter said")

    class Meta(Check.Meta):
        pass

    def __str__(self) -> str:
        return f"Test of the warehouse of {self.environment}"


class Virtualenv(models.Model):
    """The virtualenv for a list of requirements, as workers built it last, and whether its renewal was requested.

    The virtualenv itself is a folder on each worker's machine.
    """

    digest = models.CharField(max_length=64, unique=True, help_text="Of the requirements")
    requirements = models.JSONField(default=list)
    lock = models.JSONField(default=list, help_text="name==version of each installed package")
    built_at = models.DateTimeField(null=True, blank=True)
    host = models.CharField(max_length=200, blank=True)
    requested_at = models.DateTimeField(null=True, blank=True, help_text="When a renewal was requested last")
    requested_by = models.CharField(max_length=200, blank=True)
    problem = models.TextField(blank=True, help_text="Why it could not be renewed last")
    problem_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"virtualenv of {len(self.requirements)} requirements"

    @property
    def waits(self) -> bool:
        """Whether a renewal was requested that no worker has answered."""
        answered = [moment for moment in (self.built_at, self.problem_at) if moment is not None]
        return self.requested_at is not None and all(moment < self.requested_at for moment in answered)

    @property
    def is_late(self) -> bool:
        """Whether somebody may ask again, since no worker seems to do it."""
        return self.waits and self.requested_at is not None and timezone.now() - self.requested_at > PATIENCE


class Node(models.Model):
    """A node of a flow: what it selects, and how that is executed."""

    class Command(models.TextChoices):
        """What happens to the selected models."""

        BUILD = "build", "Run models and tests (dbt build)"
        RUN = "run", "Run models (dbt run)"
        TEST = "test", "Test only (dbt test)"

    class IndirectSelection(models.TextChoices):
        """Which tests of the selected models run; dbt's four modes."""

        BUILDABLE = "buildable", "Buildable: tests whose other models are upstream"
        EAGER = "eager", "Eager: every test that touches a selected model"
        CAUTIOUS = "cautious", "Cautious: only tests whose models are all selected"
        EMPTY = "empty", "Empty: only tests that you name"

    flow = models.ForeignKey(Flow, on_delete=models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20, default="transformation", help_text="Type of node")
    position = models.PositiveIntegerField(
        default=0, help_text="If two nodes select the same model, the first one builds it"
    )
    x = models.FloatField(default=0, editable=False)
    y = models.FloatField(default=0, editable=False)

    include = models.JSONField(default=list, blank=True, help_text="Selectors; empty means all models")
    exclude = models.JSONField(
        default=list, blank=True, help_text="Selectors of models to leave out. Exclude takes precedence"
    )
    command = models.CharField(max_length=10, choices=Command, default=Command.BUILD)
    indirect_selection = models.CharField(
        "tests", max_length=10, choices=IndirectSelection, default=IndirectSelection.BUILDABLE
    )
    full_refresh = models.BooleanField(default=False, help_text="Rebuild incremental models and seeds from scratch")
    allow_empty = models.BooleanField(default=False, help_text="Do not fail if no model is selected")
    threads = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text="Models of this node built at the same time. Empty: the number of the environment",
    )
    retries = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(20)], help_text="Empty: the number of the flow"
    )
    retry_delay = models.PositiveIntegerField("seconds before a retry", null=True, blank=True)
    retry_on = models.CharField(
        "retries after", max_length=10, choices=RetryOn, blank=True, help_text="Empty: the setting of the flow"
    )
    retry_patterns = models.TextField(
        "messages", max_length=10_000, blank=True, help_text="One per line. Matches anywhere in the failure message"
    )
    timeout = models.PositiveIntegerField("time limit per task, in seconds", null=True, blank=True)
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, null=True, blank=True, related_name="nodes")
    streams = models.JSONField("tables", default=list, blank=True, help_text="Tables to load. Empty: all")
    one_task = models.BooleanField(
        "all tables in one task",
        default=False,
        help_text="Loads tables one after another in one process. Models that read any of them wait for all. "
        "Otherwise each table is a separate task",
    )
    package = models.CharField(
        max_length=200, blank=True, help_text="The folder below dex-custom-scripts/ that holds __main__.py"
    )
    arguments = models.JSONField(
        "parameters",
        default=list,
        blank=True,
        help_text='In order: [{"key": "day", "value": "2026-01-31"}]; the values become sys.argv[1], sys.argv[2] ...',
    )
    network = models.BooleanField("allow network access", default=True)
    uses_warehouse = models.BooleanField(
        default=True,
        help_text=(
            "The script gets DEX_WAREHOUSE_* variables. While it runs, it has exclusive access to a DuckDB "
            "file, and models wait"
        ),
    )
    pool = models.CharField(
        max_length=100, blank=True, help_text="Name of a pool. Each task of this node uses one slot of it"
    )
    options = models.JSONField(default=dict, blank=True, help_text="Settings of this type of node, by name")

    class Meta:
        ordering: ClassVar = ["flow", "position", "id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["flow", "name"], name="one_node_per_name_and_flow")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Whichever way a node comes in: its policy of retries can be followed."""
        if errors := check_retries(self.retry_on, self.retry_patterns):
            raise ValidationError(errors)


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
    makes = models.JSONField(default=dict, help_text="Unique id -> identifier of each table, if one task loads several")
    runs = models.BooleanField(default=True, help_text="False: selected, but not run by the command of the node")
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


class Change(models.Model):
    """One edit of a flow: who, when, what it did in words, and the whole flow as it was afterwards.

    Rows are only ever added. The flow of a change that was deleted is kept by its name.
    """

    flow = models.ForeignKey(Flow, on_delete=models.SET_NULL, null=True, related_name="changes")
    flow_name = models.CharField(max_length=200)
    version = models.PositiveIntegerField()
    at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=200)
    said = models.CharField("what", max_length=1000)
    details = models.JSONField(default=list, help_text="One line per difference")
    arranged = models.BooleanField(default=False, help_text="Only positions on the canvas changed")
    document = models.JSONField(help_text="The flow after the change; see nodes.document")

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["flow", "version"], name="one_change_per_version_and_flow")
        ]

    def __str__(self) -> str:
        return f"{self.flow_name}: {self.said}"
