"""The language of file profiles: one YAML file for each kind of export."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass

from bioreactor_lake.pipelines.ingestion.profiles.places import Place

READER = 1
"""Version of the code that reads by profiles: with another, all landed files are read again."""

UNITS = {"ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6, "d": 86400e6}
"""Microseconds in a unit of relative time; `clock` is hours, minutes and seconds as 12:34:56."""
NOT_STRPTIME = ("iso", "epoch_s", "epoch_ms", "epoch_us")


@dataclass(frozen=True)
class Lines:
    """Which lines of a file are what.

    Args:
        skip_top: Lines before the header.
        header: Lines of the header, joined by a blank; 0 where `columns` names the columns.
        units: Whether the line after the header has units.
        skip_after_header: Lines between the header and the first row.
        skip_bottom: Lines at the end that are no rows.
        columns: Names in place of the header's.
    """

    skip_top: int = 0
    header: int = 1
    units: bool = False
    skip_after_header: int = 0
    skip_bottom: int = 0
    columns: tuple[str, ...] = ()

    @property
    def before_rows(self) -> int:
        """Lines before the first row."""
        return self.skip_top + self.header + self.units + self.skip_after_header


@dataclass(frozen=True)
class Time:
    """How the time of a row reads.

    Args:
        columns: Joined by a blank.
        formats: `iso`, `epoch_s`, `epoch_ms`, `epoch_us`, or as of strptime; the first that fits counts.
        zone: Of times that carry none; empty where they all must carry one.
        unit: Of a relative time; empty for an absolute one.
        origin: What a relative time counts from.
    """

    columns: tuple[str, ...]
    formats: tuple[str, ...] = ("iso",)
    zone: str = ""
    unit: str = ""
    origin: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Profile:
    """How one kind of export is read.

    Args:
        name: The name of its file.
        version: Of the profile, as its author counts.
        digest: Of all that it says.
        source: The folder of the landing zone whose files it reads.
        files: Patterns of paths under that folder, or of names.
        is_excel: Whether they are workbooks rather than delimited text.
        is_parquet: Whether they are Parquet files.
        sheet: The sheet of a workbook; empty for the first.
        encoding: Of text.
        delimiter: Between cells.
        quote: Around cells that hold delimiters; empty for none.
        comment: What lines begin with that are no rows.
        decimal: Decimal mark.
        thousands: Mark between groups of digits.
        lines: Which lines are what.
        time: How times read.
        batch: Where the batch stands.
        equipment: Where the equipment stands.
        site: Where the site stands.
        is_long: Whether a row is one reading rather than a cell.
        only: Of wide files, the columns that are tags; empty for all that mean nothing else.
        ignore: Of wide files, columns that are none.
        tag: Of long files, a template of columns, such as `od.ch{channel}`.
        value: Of long files, the column of the value.
        unit: Of long files, the column of the unit.
        quality: Of long files, the column of the quality.
        tag_pattern: Splits a column's name into `tag` and perhaps `unit`.
        rename: Tags by the names that they have in the file.
        units: Units by tag.
        states: Columns or, of long files, tags whose values are text, whatever they look like.
        change_only: Columns in which a blank means that nothing changed; `*` for all.
        missing: Texts that mean no value.
        sentinels: Numbers that mean no value.
        newest: Column by which, of a reading that came more than once, the newest is told; empty where all count.
    """

    name: str
    version: str
    digest: str
    source: str
    files: tuple[str, ...]
    is_excel: bool
    is_parquet: bool
    sheet: str
    encoding: str
    delimiter: str
    quote: str
    comment: str
    decimal: str
    thousands: str
    lines: Lines
    time: Time
    batch: tuple[Place, ...]
    equipment: tuple[Place, ...]
    site: tuple[Place, ...]
    is_long: bool
    only: tuple[str, ...]
    ignore: tuple[str, ...]
    tag: str
    value: str
    unit: str
    quality: str
    tag_pattern: str
    rename: Mapping[str, str]
    units: Mapping[str, str]
    states: tuple[str, ...]
    change_only: tuple[str, ...]
    missing: tuple[str, ...]
    sentinels: tuple[float, ...]
    newest: str

    @property
    def reader(self) -> str:
        """Name and version of the reader, as they stand beside what it made: also of a change that nobody counted."""
        return f"{self.name} {self.version}+{self.digest[:8]}"

    def fits(self, path: str) -> bool:
        """Whether it reads a file of its source, by the path under the source's folder."""
        return any(fnmatch.fnmatch(path, one) or fnmatch.fnmatch(path.rpartition("/")[2], one) for one in self.files)
