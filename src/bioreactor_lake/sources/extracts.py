"""Extracts in the landing zone: what their files are called, and which of them make up a table now.

Whatever is to be known of the extracts of a table follows from the files: the order from their numbers, the watermark
from their rows. There is no state beside them that a crash could part from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

READER = "extract 1"
"""What `landing.files` calls whoever reads an extract."""
RECORD = "record"
"""The one column of an extract of a REST API: a record as JSON, as it came."""
_PATH = re.compile(r"([a-z][a-z0-9_]{0,62})/([a-z][a-z0-9_]{0,62})/extract-(\d{6,})-(all|since)\.parquet")


@dataclass(frozen=True)
class Extract:
    """One extract.

    Args:
        path: Its path under the landing zone.
        location: Where DuckDB reads it.
        source: The source.
        table: The table of the source.
        number: Its place among the extracts of the table.
        is_whole: Whether all records were asked for, and not only those since the watermark.
    """

    path: str
    location: str
    source: str
    table: str
    number: int
    is_whole: bool


def find_extract(path: str, location: object = "") -> Extract | None:
    """What a landed file is an extract of; None for any other.

    >>> find_extract("lims/results/extract-000002-since.parquet").number
    2
    """
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    source, table, number, kind = found.groups()
    return Extract(path, str(location), source, table, int(number), kind == "all")


def find_extracts(files: Iterable[tuple[str, object]]) -> dict[tuple[str, str], list[Extract]]:
    """The extracts among landed files, given as paths and locations: in order, by source and table."""
    found: dict[tuple[str, str], list[Extract]] = {}
    for extract in (find_extract(path, location) for path, location in files):
        if extract is not None:
            found.setdefault((extract.source, extract.table), []).append(extract)
    return {key: sorted(extracts, key=lambda one: one.number) for key, extracts in found.items()}


def name_file(number: int, *, is_whole: bool) -> str:
    """What the file of an extract is called.

    >>> name_file(7, is_whole=False)
    'extract-000007-since.parquet'
    """
    return f"extract-{number:06d}-{'all' if is_whole else 'since'}.parquet"


def current(extracts: Sequence[Extract]) -> list[Extract]:
    """The extracts that make up a table now: the last one of all its records, and what came since."""
    whole = [number for number, extract in enumerate(extracts) if extract.is_whole]
    return [*extracts[whole[-1] :]] if whole else [*extracts]
