"""The examples in docstrings do what they show."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import bioreactor_lake

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(bioreactor_lake.__path__, "bioreactor_lake.")
    # What Dagster loads takes seconds, and needs it.
    if not module.name.endswith("__main__") and not module.name.startswith("bioreactor_lake.orchestration.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_do_what_they_show(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0
