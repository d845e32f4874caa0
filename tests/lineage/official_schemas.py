"""Events held against the OpenLineage spec: the client's classes always, the official schemas where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from client_classes import find_class_errors

SPEC = Path(__file__).parents[2].parent / "shared" / "openlineage-spec"


def schema_errors(event: dict[str, Any]) -> list[str]:
    """What in an event is not as the spec has it; see `errors_of_all`."""
    return errors_of_all([event])


def errors_of_all(events: Iterable[dict[str, Any]]) -> list[str]:
    """What in events is not as the spec has it.

    The official schemas are no part of the repository. Without them, a test whose events pass the client's classes is
    skipped; one whose events do not, fails.
    """
    events = list(events)
    found = [error for event in events for error in find_class_errors(event)]
    if not found and not SPEC.is_dir():
        pytest.skip(f"the official OpenLineage schemas are not at {SPEC}")
    if SPEC.is_dir():
        found += [error for event in events for error in official_errors()(event)]
    return found


@cache
def official_errors() -> Callable[[dict[str, Any]], list[str]]:
    """`errors(event)` of the program that lies beside the official schemas."""
    # Run from its text, since an import would leave a cache in a folder that is not ours.
    path = SPEC / "validate.py"
    module = ModuleType("openlineage_spec_validate")
    module.__file__ = str(path)
    exec(compile(path.read_text(), path, "exec"), module.__dict__)
    found: Callable[[dict[str, Any]], list[str]] = module.errors
    return found
