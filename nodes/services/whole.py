"""What people do to a flow as a whole: settings, pause, delete, duplicate, restore, import."""

from collections.abc import Collection

from django.core.exceptions import ValidationError
from django.db import transaction

from flows.access import require
from flows.models import Flow
from flows.scheduling import beat
from flows.scheduling.follows import follow
from flows.scheduling.unattended import refusal, refusal_of_planned
from nodes.document import Document, differences, document_of, save_settings, write
from nodes.editing import Base, edit, record
from nodes.expansion import FlowError, plan_flow, refresh_flow
from nodes.models import Change
from nodes.services.nodes import arrange, free_name


def save_flow(flow: Flow, *, base: Base | None = None, after: Collection[Flow] | None = None) -> Flow:
    """Save the settings of a flow, a new one too; `after`: the flows that it starts after (None: as they are).

    Raises EditConflict, and ValidationError for flows that start after each other in a circle, and for parameters that
    a start by itself has no value for.
    """
    require("flows.change_flow" if flow.pk else "flows.add_flow")
    follows = bool(after) if after is not None else flow.pk is not None and flow.follows.exists()
    message = refusal(flow.parameters, cron=flow.cron, follows=follows) or refusal_of_planned(flow, flow.parameters)
    if message:
        raise ValidationError({"parameters": message})
    if flow.pk is None:
        with transaction.atomic():
            flow.version = 1
            flow.save()
            follow(flow, after or ())
            record(flow, None)
        return flow
    with edit(flow, base=base):
        save_settings(flow)
        if after is not None:
            follow(flow, after)
    return flow


def pause_flow(flow: Flow, paused: bool) -> None:
    """Let the schedule of a flow start nothing for a while, or again."""
    require("flows.pause_flow")
    with edit(flow, said="paused the schedule" if paused else "resumed the schedule", reason=""):
        Flow.objects.filter(pk=flow.pk).update(paused=paused)
    flow.paused = paused


def delete_flow(flow: Flow) -> None:
    """Delete a flow with its nodes. Its runs and its history stay, under its name."""
    require("flows.delete_flow")
    with transaction.atomic():
        flow.version += 1
        Flow.objects.filter(pk=flow.pk).update(version=flow.version)
        Change.objects.create(
            flow=flow,
            flow_name=flow.name,
            version=flow.version,
            actor=require().name,
            said="Deleted the flow",
            details=["deleted the flow"],
            document=document_of(flow),
        )
        beat.forget(flow.pk)
        flow.delete()


def duplicate_flow(flow: Flow) -> Flow:
    """A new flow with the same settings, nodes and links under a free name; its schedule is paused."""
    require("flows.add_flow")
    document = document_of(flow)
    taken = set(Flow.objects.values_list("name", flat=True))
    document["name"] = free_name(flow.name, taken)
    document["schedule"] = {**document["schedule"], "paused": True}
    document["nodes"] = [{name: value for name, value in node.items() if name != "id"} for node in document["nodes"]]
    return _make(document, f"created the flow as a copy of {flow.name}")


def _make(document: Document, said: str) -> Flow:
    with transaction.atomic():
        flow = Flow(version=1)
        write(flow, document)
        refresh_flow(flow, reason="made")
        record(flow, None, said)
    return flow


def restore_flow(flow: Flow, version: int, *, base: Base | None = None) -> None:
    """Make a flow what it was at a version: settings, nodes, links and places. Raises EditConflict, ValidationError."""
    require("flows.change_flow")
    change = flow.changes.filter(version=version).first()
    if change is None:
        raise ValidationError(f"This flow has no version {version}.")
    with edit(flow, said=f"restored version {version}", base=base):
        write(Flow.objects.get(pk=flow.pk), change.document)
    flow.refresh_from_db()


def preview_import(document: Document) -> tuple[Flow | None, list[str]]:
    """What an import would change: the flow of that name, if there is one, and one line for each difference."""
    flow = Flow.objects.select_related("environment__project").filter(name=document["name"]).first()
    before = document_of(flow) if flow else None
    return flow, [difference.text for difference in differences(before, document)]


def check_import(document: Document) -> list[str]:
    """What stands in the way of an import: it is done, and taken back."""
    try:
        with transaction.atomic():
            import_flow(document)
            transaction.set_rollback(True)
    except ValidationError as error:
        return error.messages
    return []


def import_flow(document: Document) -> Flow:
    """Make the flow of a document, or make the flow of that name like it. Raises ValidationError, and then nothing
    was written: for what the rows refuse, for selectors that are wrong or give nothing, and for circles.
    """
    flow = Flow.objects.filter(name=document["name"]).first()
    require("flows.change_flow" if flow else "flows.add_flow")
    with transaction.atomic():
        if flow is None:
            flow = _make(document, "created the flow by import")
        else:
            with edit(flow, said="imported the flow"):
                write(flow, document)
        _check_all(flow)
        if any(node.get("at") is None for node in document["nodes"]):
            with edit(flow, reason=""):
                arrange(flow)
    return flow


def _check_all(flow: Flow) -> None:
    revision = flow.environment.current_revision
    if revision is None:
        return
    try:
        plan_flow(flow, revision)
    except FlowError as error:
        raise ValidationError(error.problems) from error
