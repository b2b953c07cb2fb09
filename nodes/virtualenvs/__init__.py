"""Virtualenvs that uv builds, for scripts and for dbt: interpreters, the building itself, what may be required.

Knows neither Django nor what a virtualenv is for; that is in nodes/scripts/ and nodes/runtimes/.
"""

from nodes.virtualenvs.building import Index, Order, SetupFailed, Site, alone, construction, installed, workshop
from nodes.virtualenvs.interpreters import Interpreter

__all__ = ["Index", "Interpreter", "Order", "SetupFailed", "Site", "alone", "construction", "installed", "workshop"]
