"""Columns of a file: what they are called, which of them are tags, and where their cells are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.pipelines.ingestion.reading_rules import UnreadableFile

KEYS = {"batch_id": "batch", "equipment_id": "equipment", "site": "site"}
"""What each row is about, and what a profile calls it."""
_SHOWN_COLUMNS = 20


@dataclass(frozen=True)
class Head:
    """What files of one shape have in common: expressions are made from it, so they are the same for all such files.

    Args:
        columns: Names in order; the cells of the first are the column `c1`.
        units: Names and units, where the files have a line of units.
        batch_in_rows: Whether each row names its batch.
    """

    columns: tuple[str, ...]
    units: tuple[tuple[str, str], ...] = ()
    batch_in_rows: bool = True


def name_columns(header: Sequence[str]) -> tuple[str, ...]:
    """Names of columns; one that has none is called after its place.

    Raises:
        UnreadableFile: Two are called the same.

    >>> name_columns(["", "pH "])
    ('column 1', 'pH')
    """
    names = tuple(name.replace("\0", "").strip() or f"column {number}" for number, name in enumerate(header, 1))
    if doubled := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UnreadableFile(
            f"two columns are called {doubled[0]!r}", next_step="name them anew with lines.columns in the profile"
        )
    return names


def name_tags(profile: Profile, head: Head) -> dict[str, tuple[str, str | None]]:
    """Of a wide file the columns that are tags, each with its tag and unit.

    Raises:
        UnreadableFile: No column is one, or two are the same.
    """
    units = dict(head.units)
    other = {*profile.time.columns, *profile.ignore, profile.newest}
    # What Airbyte says of a record is no tag.
    other |= {column for column in head.columns if profile.is_parquet and column.startswith("_airbyte_")}
    other |= {place.text for key in KEYS.values() for place in getattr(profile, key) if place.kind == "column"}
    tags: dict[str, tuple[str, str | None]] = {}
    for column in head.columns:
        if column in other or (profile.only and column not in profile.only):
            continue
        found = re.search(profile.tag_pattern, column) if profile.tag_pattern else None
        name = found["tag"] if found else column
        tag = profile.rename.get(column, profile.rename.get(name, name))
        pattern_unit = found.groupdict().get("unit") if found else None
        unit = profile.units.get(tag) or profile.units.get(column) or pattern_unit or units.get(column)
        tags[column] = tag, unit or None
    if not tags:
        raise UnreadableFile("no column is a tag by the profile", next_step="see wide.only and wide.ignore")
    names = [tag for tag, _ in tags.values()]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise UnreadableFile(f"two columns are the tag {doubled[0]!r}", next_step="rename one of them: tags.rename")
    return tags


def number_cells(columns: Sequence[str]) -> dict[str, str]:
    """The column of a cells table that has the cells of a file's column, by its name."""
    return {name: f"c{number}" for number, name in enumerate(columns, 1)}


def find_cell(name: str, columns: Mapping[str, str]) -> str:
    """The column of a cells table that a profile names.

    Args:
        name: As the file has it.
        columns: As of `number_cells`.

    Raises:
        UnreadableFile: The file has no such column.
    """
    if name not in columns:
        shown = ", ".join(repr(one) for one in list(columns)[:_SHOWN_COLUMNS])
        more = f" and {len(columns) - _SHOWN_COLUMNS} more" if len(columns) > _SHOWN_COLUMNS else ""
        raise UnreadableFile(
            f"it has no column {name!r}; it has {shown}{more}",
            next_step="check that it is the kind of export that the profile reads",
        )
    return columns[name]
