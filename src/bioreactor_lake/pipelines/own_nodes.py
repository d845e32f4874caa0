"""Nodes of sources and marts that were added to the project, each in a module of its own."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from kedro.pipeline import Node


def find_nodes(package: ModuleType) -> list[Node]:
    """The `NODES` of each module of a package, in the order of their names."""
    names = sorted(module.name for module in iter_modules(package.__path__))
    return [node for name in names for node in import_module(f"{package.__name__}.{name}").NODES]
