"""How commands print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

UNBOUND = 10_000
"""The width of what has no columns that it must fit into."""


def open_console(*, highlight: bool = True) -> Console:
    """The standard output: as wide as a terminal is; what reads a pipe wants whole lines, however wide.

    Args:
        highlight: Whether numbers and the like are coloured.
    """
    from rich.console import Console

    return Console(highlight=highlight, width=None if sys.stdout.isatty() else UNBOUND)


def spell_size(size_bytes: float | None) -> str:
    """A size for people.

    >>> spell_size(999), spell_size(1_234_567), spell_size(None)
    ('999 B', '1.2 MB', '-')
    """
    if size_bytes is None:
        return "-"
    size, units = float(size_bytes), ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:,.0f} B" if units[0] == "B" else f"{size:,.1f} {units[0]}"
