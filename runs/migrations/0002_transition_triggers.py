"""Every state that a run or task run takes leaves a Transition row, written by the database itself.

A trigger cannot be forgotten by a bulk update, a shell session or a bug in the engine, and the checker reads
only what the triggers wrote. A later migration that rebuilds runs_run or runs_taskrun on SQLite drops their
triggers: end it with `migrations.RunPython(install, remove)`; tests/repository/test_shape.py fails until it does.
"""

from django.db import migrations

TABLES = {
    # table: (run id, task run id, fence)
    "runs_run": ("NEW.id", "NULL", "0"),
    "runs_taskrun": ("NEW.run_id", "NEW.id", "NEW.fence"),
}
COLUMNS = "(run_id, task_run_id, old, new, fence, actor, reason, at)"


def install(apps, schema_editor):
    """Create the triggers; existing ones are replaced."""
    remove(apps, schema_editor)
    sqlite = schema_editor.connection.vendor == "sqlite"
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')" if sqlite else "clock_timestamp()"
    for table, (run, task_run, fence) in TABLES.items():
        for event, old in (("insert", "''"), ("update", "OLD.state")):
            values = f"({run}, {task_run}, {old}, NEW.state, {fence}, NEW.moved_by, NEW.reason, {now})"
            insert = f"INSERT INTO runs_transition {COLUMNS} VALUES {values};"
            name = f"{table}_{event}_moved"
            when = "WHEN (OLD.state <> NEW.state)" if event == "update" else ""
            on = f"AFTER {'UPDATE OF state' if event == 'update' else 'INSERT'} ON {table}"
            if sqlite:
                schema_editor.execute(f"CREATE TRIGGER {name} {on} {when} BEGIN {insert} END")
            else:
                schema_editor.execute(
                    f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {insert} RETURN NULL; END $$"
                )
                schema_editor.execute(
                    f"CREATE TRIGGER {name} {on} FOR EACH ROW {when} EXECUTE FUNCTION {name}()"
                )


def remove(apps, schema_editor):
    """Drop the triggers."""
    sqlite = schema_editor.connection.vendor == "sqlite"
    for table in TABLES:
        for event in ("insert", "update"):
            name = f"{table}_{event}_moved"
            if sqlite:
                schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}")
            else:
                schema_editor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
                schema_editor.execute(f"DROP FUNCTION IF EXISTS {name}()")


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]
    operations = [migrations.RunPython(install, remove)]
