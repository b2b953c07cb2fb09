"""Whether the database is as this dex needs it: commands say so instead of failing on a table that is not there."""

from django.core.management.base import CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor


def require_tables() -> None:
    """Raise CommandError when a migration is missing."""
    try:
        executor = MigrationExecutor(connection)
    except OperationalError as error:
        raise CommandError(f"The database does not answer: {error}") from error
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database of this DEX_HOME is not set up for this dex: run `manage.py migrate` first.")
