"""Include minus exclude: from lists of values to the resources they mean.

The order of evaluation is dbt's (dbt/graph/selector.py): an atom's matches, its operators, the tests it
brings along; then AND, then the union; exclude is computed the same way on the whole graph and taken away;
the filter by resource type comes last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from nodes.dbt.manifest import Manifest
from nodes.dbt.selectors.evaluation import MODES, Evaluation, Numbers
from nodes.dbt.selectors.grammar import read
from nodes.dbt.selectors.methods import Surroundings
from nodes.dbt.selectors.state import Comparison
from nodes.dbt.selectors.values import COMMAND_VALUES, RESOURCE_TYPES, Selector, SelectorError

#: What `dbt ls` lists without --resource-type (dbt/task/list.py, ListTask.DEFAULT_RESOURCE_VALUES).
LISTED_TYPES = frozenset(RESOURCE_TYPES) - {"analysis", "operation"}
_ALL_TYPES = LISTED_TYPES | {"analysis"}


class Selection:
    """What include and exclude mean on one manifest.

    `ids` is sorted. `errors` are values that dex refuses; where dbt would carry on after one, `ids` holds
    what dbt gives, where dbt would stop it is empty. Counts and reasons are computed when asked for.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        include: Sequence[Selector] | None,
        exclude: Sequence[Selector],
        resource_types: frozenset[str],
        warnings: Sequence[str],
        errors: Sequence[SelectorError],
        numbers: Numbers,
        excluded: Numbers,
        everything: Numbers | None = None,
    ) -> None:
        self.evaluation = evaluation
        self.manifest = evaluation.manifest
        self.include = include
        self.exclude = exclude
        self.resource_types = resource_types
        self.warnings = tuple(warnings)
        self.errors = tuple(errors)
        self.numbers = numbers
        self.excluded = excluded
        self.everything = numbers if everything is None else everything  # before resource types are looked at

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The unique ids of what is selected, sorted."""
        ids = self.manifest.ids
        return tuple([ids[n] for n in sorted(self.numbers)])

    def of_types(self, names: Iterable[str]) -> tuple[str, ...]:
        """What the same values give for other resource types."""
        by_type = self.manifest.numbers_by_type
        wanted = self.everything & set().union(*[by_type.get(name, frozenset()) for name in names])
        return tuple([self.manifest.ids[n] for n in sorted(wanted)])

    @property
    def is_empty(self) -> bool:
        """Whether nothing is selected."""
        return not self.numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __contains__(self, unique_id: object) -> bool:
        return self.manifest.number.get(str(unique_id), -1) in self.numbers


def select(
    manifest: Manifest,
    include: Iterable[str] | None,
    exclude: Iterable[str] = (),
    *,
    project_dir: Path | None = None,
    resource_types: Iterable[str] | None = None,
    indirect_selection: str = "eager",
    previous: Comparison | None = None,
    results: Mapping[str, str] | None = None,
    named_types: Iterable[str] | None = None,
) -> Selection:
    """Select resources of `manifest` as dbt 1.12 does for `--select include --exclude exclude`.

    An empty include is dbt's default, everything. `resource_types` are dbt's names, "all" or "default";
    nothing means what `dbt ls` lists. `project_dir` is where `path:` looks (without it, the paths in the
    manifest stand in); `previous` serves `state:`, `results` (unique id -> status) serves `result:`. Never
    raises for bad values: they are in `errors` of the result.
    """
    warnings: list[str] = []
    errors: list[SelectorError] = []
    around = Surroundings(project_dir, previous, results)
    evaluation = Evaluation(manifest, indirect_selection, around)
    types = frozenset[str]()
    included: list[Selector] | None = None
    excluded: list[Selector] = []
    numbers: Numbers = set()
    away: Numbers = set()
    everything: Numbers = set()
    try:
        if indirect_selection not in MODES:
            choices = f"It is one of {', '.join(MODES)}"
            raise SelectorError("This is not a mode of indirect selection", choices, indirect_selection, aborts=True)
        types = _resource_types(resource_types)
        evaluation = Evaluation(manifest, indirect_selection, around, types=frozenset(named_types or types))
        include_values = list(include or ())
        included = _read_list(include_values, warnings, errors) if include_values else None
        excluded = _read_list(list(exclude), warnings, errors)
        numbers = set(range(len(manifest))) if included is None else _side(evaluation, included, warnings, errors)
        away = _side(evaluation, excluded, warnings, errors)
        if away:
            numbers = numbers - away
        everything = numbers
        for name, of_type in manifest.numbers_by_type.items():
            if name not in types:
                numbers = numbers - of_type
    except SelectorError as error:
        if error not in errors:
            errors.append(error)
        numbers = everything = set()
    if previous is not None:
        warnings.extend(previous.warnings)
    return Selection(evaluation, included, excluded, types, warnings, errors, numbers, away, everything)


def _read_list(values: list[str], warnings: list[str], errors: list[SelectorError]) -> list[Selector]:
    """Every value of a list as a Selector. Raises the first error that stops dbt."""
    if len(values) > COMMAND_VALUES:
        raise SelectorError(f"A list can have at most {COMMAND_VALUES} values; this one has {len(values)}", aborts=True)
    selectors = []
    for given in values:
        selector, problems = read(given)
        errors.extend(problems)
        if selector is None:
            raise problems[-1]
        warnings.extend(selector.warnings)
        selectors.append(selector)
    return selectors


def _side(
    evaluation: Evaluation, selectors: list[Selector], warnings: list[str], errors: list[SelectorError]
) -> Numbers:
    terms = [term for selector in selectors for term in selector.terms]
    refused = {error.value for error in errors}
    for term in dict.fromkeys(terms):
        if evaluation.is_empty(term) and not any(atom.text in refused for atom in term):
            spelled = " & ".join(atom.text for atom in term)
            warnings.append(f"{spelled!r} matches nothing")
    return evaluation.of(terms)


def _resource_types(names: Iterable[str] | None) -> frozenset[str]:
    types: set[str] = set()
    for name in names or ():
        if name == "all":
            types |= _ALL_TYPES
        elif name == "default":
            types |= LISTED_TYPES
        elif name in _ALL_TYPES:
            types.add(name)
        else:
            choices = f"It is one of {', '.join(sorted(_ALL_TYPES))}, all, default"
            raise SelectorError("This is not a resource type", choices, name, aborts=True)
    return frozenset(types) or LISTED_TYPES
