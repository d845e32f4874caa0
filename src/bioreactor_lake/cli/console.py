"""How commands print."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger(__name__)

UNBOUND = 10_000
"""The width of what has no columns that it must fit into."""


def open_console(*, highlight: bool = True) -> Console:
    """The standard output: as wide as a terminal is; what reads a pipe wants whole lines, however wide.

    Args:
        highlight: Whether numbers and the like are coloured.
    """
    from rich.console import Console

    return Console(highlight=highlight, width=None if sys.stdout.isatty() else UNBOUND)


def say(text: str, *, level: int = logging.INFO) -> None:
    """Say something beside a command's result: a line of JSON where the log is, else text, in colour if it is bad.

    Args:
        text: What to say.
        level: As of a log; what is worse than information goes to the standard error.
    """
    import click

    from bioreactor_lake.logs.handlers import is_json

    if is_json():
        logger.log(level, "%s", text)
    else:
        colour = {logging.WARNING: "yellow", logging.ERROR: "red"}.get(level)
        click.secho(text, err=level > logging.INFO, fg=colour)


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
