"""What the process that sessions and parses are forked from does once, and each of them would do again.

dbt builds a JSON schema of each of its classes that it validates; that is half of the CPU that opening a small project
takes, and 0.9 s of a parse. A class that another dbt does not have is left out: who needs a schema builds it then.
"""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module


def build_schemas(classes: Mapping[str, tuple[str, ...]]) -> None:
    """Build the schemas of these classes of dbt, module -> names; each class remembers its own."""
    for module, names in classes.items():
        for name in names:
            with suppress(ImportError, AttributeError):
                getattr(import_module(module), name).json_schema()
