"""Raw Parquet files that are made of landed files: one for each batch of a source."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from bioreactor_lake.datasets.faults import first_line
from bioreactor_lake.datasets.landed_homes import RawHome
from bioreactor_lake.errors import LakeError
from bioreactor_lake.sql import escape_glob, literal

ORIGIN = ("landed_file", "landed_sha256", "landed_line", "reader")
"""Columns that say of a row which line of which original it is, and who read it."""
_READING = "batch_id, equipment_id, site, ts, tag, value, value_text, unit, quality"
_NOT_IN_NAMES = re.compile(rb"[^A-Za-z0-9 +.\-_()]")
_LONGEST_NAME = 150
_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"


@dataclass(frozen=True)
class Came:
    """What a landed file has for raw files.

    Args:
        path: Its path under the landing zone.
        sha256: Of its bytes.
        reader: Who read it.
        location: A Parquet file of its readings.
        newest_only: Whether, of a reading that came more than once, only the newest counts.
    """

    path: str
    sha256: str
    reader: str
    location: Path
    newest_only: bool


class NotOurs(LakeError):  # noqa: N818 - an outcome, kept as a file's reason
    """A raw file of that name was not made of landed files."""


def name_raw_file(source: str, batch_id: str) -> str:
    """The path of a batch's raw file under the raw folder. Whatever a batch is called, it stays in its source's folder.

    >>> name_raw_file("chibio", "240507_at_oa"), name_raw_file("x", "../../etc/passwd")
    ('chibio/240507_at_oa.parquet', 'x/%2E.%2F..%2Fetc%2Fpasswd.parquet')
    """
    name = _NOT_IN_NAMES.sub(lambda found: b"%%%02X" % found[0][0], batch_id.encode("utf-8", "replace")).decode()
    if name[0] in "._ ":
        # Hidden files are no raw files.
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > _LONGEST_NAME:
        name = f"{name[:100]}%{hashlib.sha256(batch_id.encode('utf-8', 'replace')).hexdigest()[:24]}"
    return f"{source}/{name}.parquet"


class LandedRaw:
    """The raw files of landed files.

    Args:
        backend: DuckDB.
        home: Where they are put.
    """

    def __init__(self, backend: Any, home: RawHome) -> None:
        self._backend, self._home = backend, home
        self.repeated = 0
        """Readings that were left out so far, because a newer one came."""

    def is_there(self, source: str, batch_id: str) -> bool:
        """Whether a batch has its raw file."""
        return self._home.is_there(name_raw_file(source, batch_id))

    def confirm_ours(self, source: str, batch_id: str) -> None:
        """See that no file of somebody else has the place.

        Raises:
            NotOurs: One has, or it cannot be read.
        """
        path = name_raw_file(source, batch_id)
        if self.is_there(source, batch_id) and not self._is_ours(self._home.on_disk(path)):
            raise NotOurs(
                f"the raw file {path} was not made of landed files, and is left alone",
                next_step="move it to another folder, or give the source another name",
            )

    def delete_parts(self, sources: Iterable[str]) -> None:
        """Delete beginnings of raw files that a killed run has left."""
        self._home.delete_parts(sources)

    def batches_of(self, source: str, landed_file: str) -> list[str]:
        """The batches of which raw files have rows of a landed file, as the files themselves say."""
        files = [path for path in map(self._home.on_disk, self._home.of_source(source)) if self._is_ours(path)]
        if not files:
            return []
        listed = ", ".join(literal(escape_glob(str(path))) for path in files)
        rows = self._backend.raw_sql(
            f"SELECT DISTINCT batch_id FROM read_parquet([{listed}], union_by_name = true) "
            f"WHERE landed_file = {literal(landed_file)} ORDER BY 1"
        ).fetchall()
        return [batch for (batch,) in rows]

    def write(self, source: str, batch_id: str, gone: Sequence[str], came: Sequence[Came]) -> bool:
        """Bring the raw file of a batch up to date; whoever reads it sees the old one or the new one.

        Rows are in the order of time, equipment and tag, so that the file is the same in whatever order files landed.

        Args:
            source: The source.
            batch_id: The batch.
            gone: Landed files whose earlier rows go.
            came: Landed files whose rows come.

        Returns:
            Whether there are rows; where there are none, there is no file.

        Raises:
            LakeError: It cannot be read or written; the old one is in place.
        """
        path = name_raw_file(source, batch_id)
        parts = [
            f"SELECT {_READING}, {literal(one.path)} AS landed_file, {literal(one.sha256)} AS landed_sha256, "
            f"line AS landed_line, {literal(one.reader)} AS reader, newest "
            f"FROM read_parquet({literal(escape_glob(str(one.location)))}) "
            f"WHERE batch_id = {literal(batch_id)}"
            for one in came
        ]
        try:
            if self._home.is_there(path):
                parts.append(self._kept(self._home.on_disk(path), gone))
            if not parts:
                return False
            rows = " UNION ALL BY NAME ".join(f"({part})" for part in parts)
            return self._write(path, self._without_repeats(rows, {one.reader for one in came if one.newest_only}))
        except duckdb.Error as error:
            raise LakeError(
                f"The raw file {path} cannot be brought up to date: {first_line(error)}.",
                kept="It is as it was.",
                next_step="Make room on the disk; a damaged one can be deleted, the next run makes it anew.",
            ) from error
        except OSError as error:
            raise LakeError(
                f"The raw file {path} cannot be written: {error.strerror or error}.",
                kept="It is as it was.",
                next_step="Give this user the right to write the raw folder, and make room on its disk.",
            ) from error

    def _without_repeats(self, rows: str, readers: set[str]) -> str:
        """Of each reading that these readers read several times, the newest one."""
        if not readers:
            return rows
        concerned = f"reader IN ({', '.join(literal(reader) for reader in sorted(readers))})"
        age = "coalesce(epoch_us(TRY_CAST(newest AS TIMESTAMPTZ))::DOUBLE, TRY_CAST(newest AS DOUBLE))"
        newest = (
            f"FROM ({rows}) QUALIFY NOT {concerned} OR row_number() OVER ("
            f"PARTITION BY {concerned}, equipment_id, ts, tag "
            f"ORDER BY {age} DESC NULLS LAST, newest DESC NULLS LAST, landed_file DESC, landed_line DESC) = 1"
        )
        counts = f"(SELECT count(*) FROM ({rows})) - (SELECT count(*) FROM ({newest}))"
        (repeated,) = self._backend.raw_sql(f"SELECT {counts}").fetchone()
        self.repeated += repeated
        return newest

    def _write(self, path: str, query: str) -> bool:
        rows, texts = self._backend.raw_sql(
            f"SELECT count(*), count(value_text) FILTER (value IS NULL) FROM ({query})"
        ).fetchone()
        if not rows:
            self._home.delete(path)
            return False
        value = "coalesce(CAST(value AS VARCHAR), value_text)" if texts else "value"
        part = self._home.part(path)
        try:
            # One thread writes the rows in their order, so that the same rows are the same bytes.
            self._backend.raw_sql(
                "COPY (SELECT batch_id, equipment_id, site, make_timestamptz(epoch_us(ts)) AS ts, tag, "
                f"{value} AS value, unit, quality, {', '.join(ORIGIN)} FROM ({query}) "
                f"ORDER BY ts, equipment_id, tag, landed_file, landed_line, {value}) "
                f"TO {literal(str(part))} (FORMAT parquet, COMPRESSION snappy)"
            )
            self._home.keep(part, path)
        finally:
            part.unlink(missing_ok=True)
        return True

    def _kept(self, path: Path, gone: Sequence[str]) -> str:
        source = f"read_parquet({literal(escape_glob(str(path)))})"
        kind = next(kind for name, kind in self._columns(path) if name == "value")
        number, text = "value", "CAST(NULL AS VARCHAR)"
        if kind == "VARCHAR":
            # DuckDB reads more than numbers: NaN, and 1_000.
            plain = f"regexp_full_match(value, {literal(_NUMBER)})"
            number = f"CASE WHEN {plain} THEN TRY_CAST(value AS DOUBLE) END"
            text = f"CASE WHEN NOT {plain} THEN value END"
        without = f"WHERE landed_file NOT IN ({', '.join(map(literal, gone))})" if gone else ""
        return (
            f"SELECT batch_id, equipment_id, site, make_timestamp(epoch_us(ts)) AS ts, tag, {number} AS value, "
            f"{text} AS value_text, unit, quality, {', '.join(ORIGIN)} FROM {source} {without}"
        )

    def _is_ours(self, path: Path) -> bool:
        try:
            return {"landed_file", "landed_sha256"} <= {name for name, _ in self._columns(path)}
        except duckdb.Error:
            return False

    def _columns(self, path: Path) -> list[tuple[str, str]]:
        rows = self._backend.raw_sql(f"DESCRIBE FROM read_parquet({literal(escape_glob(str(path)))})").fetchall()
        return [(name, kind) for name, kind, *_ in rows]
