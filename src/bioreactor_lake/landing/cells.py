"""A file's cells as a Parquet file of texts, written as the file is read: memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioreactor_lake.landing.limits import Limits
from bioreactor_lake.pipelines.ingestion.profiles.cells import LONGEST_TEXT, find_facts
from bioreactor_lake.pipelines.ingestion.profiles.columns import Head, name_columns
from bioreactor_lake.pipelines.ingestion.profiles.places import locate
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.pipelines.ingestion.reading_rules import UnreadableFile


@dataclass(frozen=True)
class Facts:
    """What is known of a file beside its rows.

    Args:
        head: What it has in common with others of its shape.
        found: The columns `FACTS` of its cells.
    """

    head: Head
    found: Mapping[str, str | None]


class CellsFile:
    """A Parquet file of cells in the making: `line`, `fault`, `text`, and `c1` and on.

    Args:
        location: Where it is written.
        columns: How many cells a row has.
    """

    def __init__(self, location: Path, columns: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._pa = pa
        names = [f"c{number}" for number in range(1, columns + 1)]
        fields = [("line", pa.int64()), ("fault", pa.string()), ("text", pa.string())]
        self._schema = pa.schema([*fields, *((name, pa.string()) for name in names)])
        self._writer = pq.ParquetWriter(location, self._schema, compression="lz4")
        self._columns = columns

    def add(self, lines: Any, cells: list[Any]) -> None:
        """Add rows: line numbers and, by column, texts."""
        if not len(lines):
            return
        nothing = self._pa.nulls(len(lines), self._pa.string())
        arrays = [self._pa.array(lines, self._pa.int64()), nothing, nothing, *cells]
        self._writer.write_batch(self._pa.record_batch(arrays, schema=self._schema))

    def add_faults(self, faults: Iterable[tuple[int, str, str]]) -> None:
        """Add lines that have no cells: number, what is wrong, and the text."""
        rows = [(line, fault, text[:LONGEST_TEXT]) for line, fault, text in faults]
        if not rows:
            return
        line, fault, text = (list(column) for column in zip(*rows, strict=True))
        nothing = [self._pa.nulls(len(rows), self._pa.string())] * self._columns
        text = [one.encode("utf-8", "replace").decode() for one in text]
        arrays = [self._pa.array(line, self._pa.int64()), self._pa.array(fault), self._pa.array(text), *nothing]
        self._writer.write_batch(self._pa.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        """Write its end."""
        self._writer.close()


def facts_of(path: str, lines: list[list[str]], profile: Profile, limits: Limits) -> Facts:
    """What the lines before the rows say.

    Args:
        path: Path under the source's folder.
        lines: Cells of the lines before the first row; where the file has no header, of the first row as well.
        profile: The profile.
        limits: What the file may be.

    Raises:
        UnreadableFile: It ends before its rows, or its columns cannot be told apart.
    """
    rule = profile.lines
    if len(lines) < rule.before_rows or not lines:
        raise UnreadableFile(
            f"it has {len(lines)} lines, and the profile has {rule.before_rows} before the first row",
            next_step="check that it is whole",
        )
    header = lines[rule.skip_top : rule.skip_top + rule.header]
    width = len(rule.columns) or max((len(line) for line in header), default=0)
    if not width:
        raise UnreadableFile("its header is blank", next_step="check the file, and lines.skip_top of the profile")
    if width > limits.columns:
        raise UnreadableFile(
            f"it has {width:,} columns", next_step="check the delimiter, or raise limits.columns of landing_zone"
        )
    given = [" ".join(line[i].strip() for line in header if i < len(line)).strip() for i in range(width)]
    names = name_columns(rule.columns or given)
    units = lines[rule.skip_top + rule.header] if rule.units else []
    places = [place for key in (profile.batch, profile.equipment, profile.site, profile.time.origin) for place in key]
    cells = {}
    for name in {place.text for place in places if place.kind == "cell"}:
        line, column = locate(name)
        if line <= len(lines) and column <= len(lines[line - 1]):
            cells[name] = lines[line - 1][column - 1].strip()
    named = tuple((name, unit.strip()) for name, unit in zip(names, units, strict=False))
    found = find_facts(profile, path, names, cells)
    return Facts(Head(names, named, found["found_batch_id"] is None), found)


def lines_wanted(profile: Profile) -> int:
    """How many lines have to be looked at before the rows: the header, and cells that the profile names."""
    places = [place for key in (profile.batch, profile.equipment, profile.site, profile.time.origin) for place in key]
    cells = [locate(place.text)[0] for place in places if place.kind == "cell"]
    return max([profile.lines.before_rows, *cells])
