"""What a node form would give, while it is typed: the same path as Save, stopping before anything is written."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from flows.models import Revision
from nodes.catalogue import model_url
from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors import Reason, Selection, explain, obstacles
from nodes.expansion import expand
from nodes.kinds.transformation import BUILT, TESTS, expand_on, selection_of
from nodes.models import Node, Task
from nodes.tasks import Expanded, TaskSpec

SHOWN = 200
NOTHING = "This matches nothing."


@dataclass(frozen=True)
class Row:
    """One selected resource: why it is in, whether it is run, and who else in the flow has it."""

    identifier: str
    resource_type: str
    why: str
    runs: bool
    url: str
    also_in: str = ""


@dataclass(frozen=True)
class Chip:
    """What one value gives by itself (models, seeds and snapshots; not tests), and what is wrong with it."""

    side: str
    value: str
    count: int | None
    warning: str = ""
    error: str = ""


@dataclass
class Preview:
    """A selection for people: "3 models and 2 tests", the rows with their reasons, and what each value gives."""

    total: str = ""
    rows: list[Row] = field(default_factory=list)
    more: int = 0
    chips: list[Chip] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    why_not: list[str] = field(default_factory=list)


def preview(node: Node, revision: Revision, ask: str = "") -> Preview:
    """What a Transformation would do on a revision; `ask` names a resource of which to say why it is in, or is not.

    Raises FileNotFoundError when the revision's files are gone.
    """
    selection = selection_of(node, revision)
    expanded = expand_on(node, revision, selection=selection)
    built = [spec for spec in expanded.specs if spec.resource_type not in TESTS]
    shown = sorted(built, key=lambda spec: (not spec.runs, spec.identifier))[:SHOWN]
    elsewhere = _elsewhere(node, [spec.unique_id for spec in shown])
    manifest = selection.manifest
    result = Preview(
        total=total_of(expanded),
        rows=[_row(spec, selection, elsewhere, revision.environment_id) for spec in shown],
        more=max(0, len(built) - SHOWN),
        chips=_chips(node, selection, revision),
        warnings=[warning.message for warning in expanded.warnings],
    )
    about = {chip.value for chip in result.chips if chip.error}
    result.errors = [problem.message for problem in expanded.errors if problem.value not in about or not problem.value]
    if ask:
        result.why_not = _answer(selection, manifest, ask)
    return result


def total_of(expanded: Expanded) -> str:
    """What a node does, in words: each model and each test that it selects and runs counts once.

    The form says this before Save and after it. Tasks are another thing: a test of one model is part of its task.
    """
    return counted([spec.resource_type for spec in expanded.specs if spec.runs])


def what_it_does(node: Node, expanded: Expanded | None = None) -> str:
    """What a saved node does, in the words of its preview; `expanded`, where the caller has it."""
    revision = node.flow.environment.current_revision
    if revision is not None:
        with suppress(FileNotFoundError):
            return total_of(expanded or expand(node, revision))
    return counted(list(node.tasks.filter(runs=True).values_list("resource_type", flat=True)))


def counted(types: Sequence[str]) -> str:
    """How many of each type, in words: "3 models and 2 tests"; "nothing to do" for none."""
    most = sorted(Counter(types).items(), key=lambda entry: (entry[0] in TESTS, -entry[1]))
    counts = [f"{number} {kind.replace('_', ' ')}{'' if number == 1 else 's'}" for kind, number in most]
    return " and ".join(filter(None, [", ".join(counts[:-1]), *counts[-1:]])) or "nothing to do"


def _row(spec: TaskSpec, selection: Selection, elsewhere: dict[str, str], environment: int) -> Row:
    reasons = explain(selection, spec.unique_id)
    why = said(reasons[0], selection.manifest) if reasons else ""
    return Row(
        spec.identifier,
        spec.resource_type,
        why,
        spec.runs,
        model_url(spec.unique_id, environment),
        elsewhere.get(spec.unique_id, ""),
    )


def said(reason: Reason, manifest: Manifest) -> str:
    """A reason in one line: "tag:finance+: mart_orders <- stg_orders"."""
    if reason.how == "everything":
        return "Include is empty: all models"
    rows = [manifest.resources[unique_id] for unique_id in reason.path]
    names = [row.full_identifier or row.name for row in rows]
    if reason.how == "matched" or len(names) < 2:
        return reason.value
    arrow = " → " if reason.how == "upstream" else " ← "
    shown = names[::-1] if len(names) <= 5 else [*names[::-1][:2], "...", *names[::-1][-2:]]
    return f"{reason.value}: {arrow.join(shown)}"


def _chips(node: Node, selection: Selection, revision: Revision) -> list[Chip]:
    """What each value gives by itself; where one is refused, the others are still counted."""
    listed = selection.manifest.numbers_by_type
    built = set().union(*[listed.get(name, frozenset()) for name in BUILT])
    if not selection.errors:
        sides = (("include", selection.include or ()), ("exclude", selection.exclude))
        pairs = [(side, each, selection.evaluation.of(each.terms)) for side, all_of in sides for each in all_of]
        return [
            Chip(side, each.text, len(numbers & built), "" if numbers else NOTHING) for side, each, numbers in pairs
        ]
    chips = []
    for side in ("include", "exclude"):
        for value in getattr(node, side):
            alone = selection_of(Node(include=[value], indirect_selection=node.indirect_selection), revision)
            if alone.errors:
                chips.append(Chip(side, value, None, "", str(alone.errors[0])))
            else:
                chips.append(Chip(side, value, len(alone.numbers & built), "" if alone.numbers else NOTHING))
    return chips


def _elsewhere(node: Node, unique_ids: Sequence[str]) -> dict[str, str]:
    """unique_id -> the name of another node of the flow that builds it too."""
    others = Task.objects.filter(node__flow=node.flow_id, runs=True, built_by="", unique_id__in=unique_ids)
    return dict(others.exclude(node=node.pk).values_list("unique_id", "node__name"))


def _answer(selection: Selection, manifest: Manifest, name: str) -> list[str]:
    """Why a resource is in, or why it is not."""
    if reasons := explain(selection, name):
        return [f"{name} is included: {said(reason, manifest)}." for reason in reasons[:5]]
    hindrances = obstacles(selection, name)
    is_known = all(obstacle.what != "unknown" for obstacle in hindrances)  # else the message itself says the name
    lines = [" ".join(map(_sentence, filter(None, [obstacle.message, obstacle.hint]))) for obstacle in hindrances]
    return [f"{name} is not included. {lines[0]}", *lines[1:]] if lines and is_known else lines


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def suggestions(manifest: Manifest, typed: str, limit: int = 12) -> list[dict[str, str]]:
    """What a value may become while it is typed: [{"value", "kind"}], operators around the name kept.

    Names, `tag:`, `path:` and the other methods of dbt; those that begin with what was typed come first.
    """
    start = len(typed) - len(typed.lstrip("+@0123456789"))
    prefix, bare = typed[:start], typed[start:].rstrip("+").lower()
    pool = _pool(manifest)
    first = [(value, kind) for lower, value, kind in pool if lower.startswith(bare)]
    words = [(value, kind) for lower, value, kind in pool if bare and bare in lower and not lower.startswith(bare)]
    return [{"value": prefix + value, "kind": kind} for value, kind in [*first, *words][:limit]]


def _pool(manifest: Manifest) -> list[tuple[str, str, str]]:
    """(lower case, value, kind) of all that can be suggested; kept with the manifest."""
    if (memo := manifest.memo.get("suggestions")) is None:
        rows = [row for row in manifest.rows if row.resource_type in ("model", "seed", "snapshot")]
        folders = sorted({folder for row in rows for folder in _folders(row.path)})
        sources = sorted({row.source_name or "" for row in manifest.rows if row.resource_type == "source"})
        offers = [(f"tag:{tag}", "tag") for tag in sorted(manifest.tag_index)]
        several = {name for name, number in Counter(row.name for row in rows).items() if number > 1}
        offers += dict.fromkeys((row.name, row.resource_type) for row in sorted(rows, key=lambda row: row.name))
        offers += sorted((row.identifier, row.resource_type) for row in rows if row.name in several)
        offers += [(f"path:{folder}", "folder") for folder in folders]
        offers += [(f"source:{name}", "source") for name in sources if name]
        offers += [(f"config.materialized:{kind}", "materialization") for kind in ("table", "view", "incremental")]
        offers += [(f"resource_type:{kind}", "resource type") for kind in ("model", "seed", "snapshot")]
        memo = manifest.memo["suggestions"] = [(value.lower(), value, kind) for value, kind in offers]
    pool: list[tuple[str, str, str]] = memo
    return pool


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
