"""A dlt source of the project's own: a package below dex-connectors/ with a function `source`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import field_validator

from nodes.connections.connectors import base
from nodes.connections.connectors.base import Connector, Context, Cursor, Found, setting
from nodes.connections.connectors.failures import SourceError
from nodes.connections.connectors.places import allowed
from nodes.connections.connectors.streams import StreamSettings

FOLDER = "dex-connectors"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")


class Settings(base.Config):
    """Which package, and what it is told."""

    package: str = setting(title="Package", help=f"The name of a folder below {FOLDER}/")
    values: dict[str, Any] = setting({}, title="Settings", help="As JSON. The source gets them as `config`")
    secrets: dict[str, str] = setting(
        {}, title="Secret settings", help="As JSON. Added to the settings and never shown again", secret=True
    )

    @field_validator("package")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("the name can have letters, digits, dashes and underscores.")
        return value


class Custom(Connector):
    """Code of the project: whoever may push it decides what it does."""

    key = "custom"
    title = "Custom source"
    summary = f"A dlt source in the project repository, below {FOLDER}/"
    group = "Custom"
    icon = "code"
    status = "Beta"
    Config = Settings

    def test(self, config: Settings, context: Context) -> str:
        """Call the source, and its own test where it has one."""
        module = _module(config, context)
        names = list(_source(module, config).resources)
        if hasattr(module, "test"):
            return str(module.test(_told(config)) or "The test of the source passed.")
        return f"The source offers {len(names):,} streams."

    def discover(self, config: Settings, context: Context) -> Sequence[Found]:
        """Its resources, with what their hints say."""
        streams = []
        for name, resource in _source(_module(config, context), config).resources.items():
            table = resource.compute_table_schema()
            columns = table.get("columns", {})
            key = [column for column, about in columns.items() if about.get("primary_key")]
            kinds = [(column, str(about.get("data_type") or "")) for column, about in columns.items()]
            cursor = getattr(getattr(resource, "incremental", None), "cursor_path", None)
            streams.append(Found(name, kinds, key, [cursor] if cursor else ()))
        return streams

    def resource(self, config: Settings, stream: StreamSettings, context: Context, cursor: Cursor | None = None) -> Any:
        """One resource of the source."""
        source = _source(_module(config, context), config)
        if stream.name not in source.resources:
            names = ", ".join(source.resources) or "none"
            raise SourceError("config", f"The source {config.package} has no stream {stream.name}. It has: {names}.")
        return source.resources[stream.name]


def packages_of(project_dir: Path) -> list[str]:
    """The names of the custom sources of a project, sorted."""
    folder = project_dir / FOLDER
    if not folder.is_dir():
        return []
    return sorted(each.parent.name for each in folder.glob("*/__init__.py") if _NAME.fullmatch(each.parent.name))


def _told(config: Settings) -> dict[str, Any]:
    return {**config.values, **config.secrets}


def _module(config: Settings, context: Context) -> Any:
    import importlib.util
    import sys

    if context.project_dir is None:
        raise SourceError("config", "A custom source needs a project.")
    only_project = Context(context.guard, context.scratch, project_dir=context.project_dir)
    path = allowed(f"{FOLDER}/{config.package}/__init__.py", only_project)
    name = f"dex_connector_{config.package.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    if spec is None or spec.loader is None:
        raise SourceError("config", f"{FOLDER}/{config.package} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.dont_write_bytecode = True  # the checkout of a revision stays as it is
    spec.loader.exec_module(module)
    return module


def _source(module: Any, config: Settings) -> Any:
    from dlt.extract import DltResource, DltSource

    make = getattr(module, "source", None)
    if not callable(make):
        raise SourceError("config", f"{FOLDER}/{config.package}/__init__.py has no function source(config).")
    source = make(_told(config))
    if isinstance(source, DltResource | list | tuple):
        import dlt

        resources = [source] if isinstance(source, DltResource) else list(source)
        return dlt.source(lambda: resources, name=config.package.replace("-", "_"))()
    if not isinstance(source, DltSource):
        raise SourceError(
            "config", f"source(config) of {config.package} returned {type(source).__name__}, not a dlt source."
        )
    return source
