"""Raw files as instruments write them, each beside what the lake must make of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from reference import Reading, at

NOON = at(2025, 6, 1, 12)
MINUTE = timedelta(minutes=1)


@dataclass
class RawFolder:
    """A raw folder in the making and what is expected of it."""

    root: Path
    readings: list[Reading] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        path: str,
        columns: Mapping[str, Any] | pa.Table,
        readings: Iterable[Reading] = (),
        rejects: Iterable[Mapping[str, Any]] = (),
        **options: Any,
    ) -> None:
        """Write a file that is accepted."""
        self._write(path, columns, options)
        self.readings += [reading._replace(source_file=path) for reading in readings]
        self.rejects += [{**reject, "source_file": path} for reject in rejects]

    def add_bad(self, path: str, content: Mapping[str, Any] | pa.Table | bytes, reason: str) -> None:
        """Write a file that is quarantined; `reason` is a regular expression."""
        if isinstance(content, bytes):
            self._place(path).write_bytes(content)
        else:
            self._write(path, content, {})
        self.quarantined[path] = reason

    def _write(self, path: str, columns: Mapping[str, Any] | pa.Table, options: Mapping[str, Any]) -> None:
        table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
        pq.write_table(table, self._place(path), **options)

    def _place(self, path: str) -> Path:
        location = self.root / path
        location.parent.mkdir(parents=True, exist_ok=True)
        return location


def columns(rows: int = 1, **changed: Any) -> dict[str, Any]:
    """Columns of a plain file; a change of None leaves the column out."""
    plain = {
        "batch_id": ["B"] * rows,
        "equipment_id": ["E"] * rows,
        "ts": [NOON] * rows,
        "tag": ["t"] * rows,
        "value": [1.0] * rows,
    }
    return {name: column for name, column in (plain | changed).items() if column is not None}


def of(readings: Iterable[Reading]) -> dict[str, Any]:
    """Columns that spell readings as they are; states that are no numbers need a text column."""
    rows = list(readings)
    names = ("batch_id", "equipment_id", "tag", "ts", "value", "site", "unit", "quality")
    types = {"value": pa.float64(), "ts": pa.timestamp("us")}
    return {name: pa.array([getattr(row, name) for row in rows], types.get(name, pa.string())) for name in names}


def damage(path: Path, column: str) -> None:
    """Overwrite the beginning of the data of one column, as a bad disk does; the footer stays whole."""
    group = pq.read_metadata(path).row_group(0)
    chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == column)
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset : chunk.data_page_offset + 60] = b"\xff" * 60
    path.write_bytes(content)
