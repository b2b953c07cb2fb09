"""All kinds of warehouses: whatever a module of `adapters/` defines."""

from nodes.dbt import lines
from nodes.dbt.warehouses import adapters
from nodes.dbt.warehouses.base import Warehouse
from nodes.fields.discovery import discover


def _discover() -> dict[str, Warehouse]:
    found = discover(adapters, Warehouse, "type", "warehouses")
    return dict(sorted(found.items(), key=lambda pair: pair[1].title.lower()))


#: dbt's type -> the warehouse, in the order of the form.
WAREHOUSES: dict[str, Warehouse] = _discover()


def title_of(kind: str) -> str:
    """What people call a type of dbt; the type itself where dex does not know it."""
    return WAREHOUSES[kind].title if kind in WAREHOUSES else kind


def package_of(kind: str) -> str:
    """The package that holds dbt's adapter for a type: by convention where dex does not know it."""
    return WAREHOUSES[kind].package if kind in WAREHOUSES else lines.package_of(kind)


def refusal_of(kind: str) -> str:
    """Why connections cannot load into warehouses of a type; empty where they can."""
    if kind in WAREHOUSES:
        return WAREHOUSES[kind].refusal
    return f"Connections cannot load into {kind}: dex does not know this warehouse." if kind else ""


def may_go_on(kind: str, *, by_command: bool = False) -> str:
    """What to say when the process that ran a query was killed; empty where the query is ended too.

    In: `by_command`, whether dbt's command ran it: only sessions end what another session left behind.
    """
    if not kind:
        return ""
    warehouse = WAREHOUSES.get(kind)
    if warehouse is not None and (warehouse.in_process or (warehouse.ends_orphans and not by_command)):
        return ""
    return f"{title_of(kind)} may go on with the query of this process: dex cannot end it there."
