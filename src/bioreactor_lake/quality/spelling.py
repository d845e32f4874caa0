"""How what was found is spelled for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def spell(value: Any) -> str:
    """A value, or several, in few characters.

    >>> spell(1 / 3), spell(12345), spell({"missing": ["R-1"], "more": None}), spell(True)
    ('0.333333', '12,345', 'missing [R-1]', 'True')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {spell(part)}" for name, part in value.items() if part is not None)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(spell, value)) + "]"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def spell_rows(failing: int, rows: int) -> str:
    """How many rows fail, of how many.

    >>> spell_rows(2, 1000), spell_rows(0, 1000)
    ('2 of 1,000 rows', '1,000 rows')
    """
    return f"{failing:,} of {rows:,} rows" if failing else f"{rows:,} rows"


def plural(count: int, one: str, many: str = "") -> str:
    """A number of things.

    >>> plural(1, "batch", "batches"), plural(2, "row")
    ('1 batch', '2 rows')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
