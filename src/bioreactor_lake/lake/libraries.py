"""The libraries that spell an expression as SQL: another version of one may spell the same expression otherwise."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version

_PACKAGES = {"ibis": "ibis-framework", "sqlglot": "sqlglot", "duckdb": "duckdb"}


@cache
def library_versions() -> str:
    """Name and version of each, as JSON, to be kept with the logic that they wrote."""
    return json.dumps({name: version(package) for name, package in _PACKAGES.items()})


def why_other_logic(then: str | None) -> str:
    """What is known of why a logic is another one than it was.

    Args:
        then: The versions that the former logic was written with; None where they were not kept.

    >>> why_other_logic(library_versions())
    'its logic changed'
    >>> why_other_logic('{"ibis": "9.5.0"}')  # doctest: +ELLIPSIS
    'its logic changed, and so did ibis 9.5.0 → ...'
    """
    before, now = json.loads(then or "{}"), json.loads(library_versions())
    others = [f"{name} {before[name]} → {now[name]}" for name in now if before.get(name, now[name]) != now[name]]
    return "its logic changed" + (f", and so did {' and '.join(others)}" if others else "")
