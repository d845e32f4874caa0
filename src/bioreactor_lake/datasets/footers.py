"""What a Parquet file's footer, or the lack of one, says about the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def differing_in_case(footer: tuple[Any, ...]) -> tuple[str, str] | None:
    """Two top-level columns that DuckDB cannot tell apart, or None."""
    seen: dict[str, str] = {}
    position = 1
    for _ in range(footer[0][2] or 0):
        name = footer[position][0]
        if (other := seen.setdefault(name.lower(), name)) is not name:
            return other, name
        position = _next_sibling(footer, position)
    return None


def _next_sibling(footer: tuple[Any, ...], position: int) -> int:
    children = footer[position][2] or 0
    position += 1
    for _ in range(children):
        position = _next_sibling(footer, position)
    return position


def why_not_parquet(location: Path, error: Exception) -> str:
    """Why a file could not be opened as Parquet and what to do, from its first bytes and DuckDB's error."""
    with location.open("rb") as stream:
        start = stream.read(4)
    if not start:
        return "the file is empty (0 bytes): write or copy it again"
    if start != b"PAR1":
        return "it is not a Parquet file: convert it, or move it out of the raw folder"
    return f"the file is cut off or damaged ({first_line(error)}): wait until it is whole, or copy it again"


def first_line(error: Exception) -> str:
    """The first line of an error of DuckDB, without its kind."""
    return str(error).splitlines()[0].split(": ", 1)[-1]
