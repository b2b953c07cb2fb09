"""Selectors: from the text of a value to the resources of a dbt project it means. Pure: no Django, no dbt."""

from nodes.dbt.selectors.evaluation import MODES
from nodes.dbt.selectors.grammar import parse, split_values
from nodes.dbt.selectors.reasons import Obstacle, Reason, explain, obstacles, resolve
from nodes.dbt.selectors.select import Selection, select
from nodes.dbt.selectors.state import Comparison
from nodes.dbt.selectors.values import (
    ALL,
    LIMITS,
    METHODS,
    RESOURCE_TYPES,
    RESULTS,
    STATES,
    Atom,
    Selector,
    SelectorError,
)

__all__ = [
    "ALL",
    "LIMITS",
    "METHODS",
    "MODES",
    "RESOURCE_TYPES",
    "RESULTS",
    "STATES",
    "Atom",
    "Comparison",
    "Obstacle",
    "Reason",
    "Selection",
    "Selector",
    "SelectorError",
    "explain",
    "obstacles",
    "parse",
    "resolve",
    "select",
    "split_values",
]
