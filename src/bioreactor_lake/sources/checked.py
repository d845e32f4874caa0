"""Configuration with nothing in it that means nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bioreactor_lake.errors import UsageError


def checked(given: Any, where: str, *names: str) -> dict[str, Any]:
    """A mapping with no other keys than those; any where none are given.

    Raises:
        UsageError: It is none, or has another key.
    """
    if not isinstance(given, Mapping):
        raise UsageError(f"Parameter {where} is no mapping.", next_step="See docs/lims.md.")
    for name in given:
        if names and name not in names:
            raise UsageError(
                f"Parameter {where} has {name!r}, which means nothing.", next_step=f"Use {', '.join(names)}."
            )
    return {str(name): value for name, value in given.items()}


def name_list(given: Any, where: str) -> tuple[str, ...]:
    """One name, or several in a list.

    Raises:
        UsageError: It is neither.
    """
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) and name for name in names):
        raise UsageError(f"Parameter {where} is {given!r}.", next_step="Name the column, or several in a list.")
    return tuple(names)
