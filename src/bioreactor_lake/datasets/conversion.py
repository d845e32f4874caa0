"""One landed file as readings: its cells by a profile, in DuckDB, with what was rejected beside its line."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import duckdb
import ibis
import ibis.expr.types as ir

from bioreactor_lake.datasets.faults import first_line, raise_unless_of_a_file
from bioreactor_lake.datasets.landing_zone import REJECTS
from bioreactor_lake.landing.cells import Facts
from bioreactor_lake.landing.limits import Limits
from bioreactor_lake.landing.parquet_cells import read_parquet
from bioreactor_lake.landing.places import LandingFolder, LandingPlace
from bioreactor_lake.landing.text_cells import read_text
from bioreactor_lake.landing.workbook_cells import read_workbook
from bioreactor_lake.landing.zone import LandedFile
from bioreactor_lake.pipelines.ingestion.profiles.cells import FACTS
from bioreactor_lake.pipelines.ingestion.profiles.columns import Head
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.pipelines.ingestion.reading_rules import UnreadableFile
from bioreactor_lake.sql import escape_glob, literal, quote, storable

_CELLS = "cells of the landed file"
_CELLS_SQL = quote(_CELLS)


class Reader(Protocol):
    """What turns cells into lines, readings and rejects: the rules, which know no file."""

    def lines(self, cells: ir.Table, profile: Profile, head: Head) -> ir.Table:
        """Lines with `reason`."""

    def readings(self, lines: ir.Table, profile: Profile, head: Head) -> ir.Table:
        """Readings of lines without a reason."""

    def rejects(self, lines: ir.Table, profile: Profile, head: Head) -> ir.Table:
        """Lines with one."""


@dataclass
class Converted:
    """What became of a landed file.

    Args:
        location: A Parquet file of its readings; None where there are none.
        facts: Columns of `landing.files`.
    """

    location: Path | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Conversion:
    """Reads landed files. Memory is bounded: cells and readings go through files.

    Args:
        backend: DuckDB.
        reader: The rules.
        limits: What a file may be.
        folder: A folder for what is between.
        place: Where the files are kept; None for files of this machine.
    """

    def __init__(
        self, backend: Any, reader: Reader, limits: Limits, folder: Path, place: LandingPlace | None = None
    ) -> None:
        self._backend, self._reader, self._limits, self._folder = backend, reader, limits, folder
        self._place = place or LandingFolder(folder)
        # Files of one shape are read by the same SQL, which takes Ibis longer to write than DuckDB to carry out.
        self._sql: dict[tuple[str, Head], _Statements] = {}
        self._files = 0

    def convert(self, file: LandedFile, sha256: str, profile: Profile) -> Converted:
        """Read a landed file.

        Args:
            file: The file.
            sha256: Of its bytes.
            profile: How it is read.

        Raises:
            LakeError: The machine was at fault, and not the file.
        """
        self._files += 1
        cells, readings = self._folder / f"{self._files}.cells", self._folder / f"{self._files}.parquet"
        read = read_workbook if profile.is_excel else read_parquet if profile.is_parquet else read_text
        try:
            with self._place.on_disk(file, self._folder) as location:
                facts = read(location, file.path_in_source, profile, self._limits, cells)
            return self._convert(storable(file.path), sha256, profile, facts, cells, readings)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            return Converted(facts={"reason": f"cannot be read: {error.strerror or error}; check its permissions"})
        except duckdb.Error as error:
            raise_unless_of_a_file(error)
            return Converted(facts={"reason": f"its rows cannot be read ({first_line(error)})"})
        except UnreadableFile as error:
            return Converted(facts={"reason": f"{error.what}: {error.next_step}"})
        finally:
            cells.unlink(missing_ok=True)

    def _convert(self, path: str, sha256: str, profile: Profile, facts: Facts, cells: Path, into: Path) -> Converted:
        sql = self._statements(profile, facts.head)
        backend, source = self._backend, self._source(profile, facts, cells)
        rows_in, rejected = backend.raw_sql(sql.counts.replace(_CELLS_SQL, source)).fetchone()
        known: dict[str, Any] = {"rows_in": rows_in, "rows_read": rows_in - rejected, "rows_rejected": rejected}
        if rejected:
            backend.raw_sql(
                f"INSERT INTO {REJECTS} SELECT {literal(path)}, {literal(sha256)}, line, reason, text "
                f"FROM ({sql.rejects.replace(_CELLS_SQL, source)})"
            )
        if not rows_in:
            return Converted(facts=known | {"reason": "it has no rows"})
        if rejected == rows_in:
            reason, line = backend.raw_sql(
                f"SELECT reason, min(line) FROM {REJECTS} WHERE path = {literal(path)} "
                "GROUP BY 1 ORDER BY count(*) DESC, 2"
            ).fetchone()
            return Converted(facts=known | {"reason": f"none of its {rows_in:,} rows was read: {reason} (line {line})"})
        backend.raw_sql(
            f"COPY ({sql.readings.replace(_CELLS_SQL, source)}) TO {literal(str(into))} "
            "(FORMAT parquet, COMPRESSION snappy)"
        )
        most = self._limits.batches
        total, batches, first, last, count = backend.raw_sql(
            f"SELECT sum(n), list(batch_id ORDER BY batch_id)[:{most}], min(first), max(last), count(*) FROM ("
            "SELECT batch_id, count(*) AS n, min(ts) AS first, max(ts) AS last "
            f"FROM read_parquet({literal(escape_glob(str(into)))}) GROUP BY 1)"
        ).fetchone()
        if count > most:
            reason = f"it has {count:,} batches: check what the profile takes for the batch"
            return Converted(facts=known | {"reason": reason})
        if not total:
            return Converted(facts=known | {"reason": "none of its rows has a value"})
        known |= {"readings": total, "batch_ids": batches, "ts_min": first, "ts_max": last}
        return Converted(into, known)

    def _statements(self, profile: Profile, head: Head) -> _Statements:
        key = profile.digest, head
        if key not in self._sql:
            texts = ["fault", "text", *_cells_of(head), *FACTS]
            table = ibis.table({"line": "int64", "last_line": "int64", **dict.fromkeys(texts, "string")}, name=_CELLS)
            lines = self._reader.lines(table, profile, head)
            self._sql[key] = _Statements(
                *(
                    # Not kept for longer, as other SQL is: there are as many as there are shapes of files.
                    str(self._backend.compile(expression))
                    for expression in (
                        lines.agg(rows_in=lines.count(), rows_rejected=lines.reason.count()),
                        self._reader.readings(lines, profile, head),
                        self._reader.rejects(lines, profile, head),
                    )
                )
            )
        return self._sql[key]

    def _source(self, profile: Profile, facts: Facts, cells: Path) -> str:
        rows = f"read_parquet({literal(escape_glob(str(cells)))})"
        last = "CAST(4611686018427387904 AS BIGINT)"
        if profile.lines.skip_bottom:
            blank = " AND ".join(f"trim({cell}) = ''" for cell in _cells_of(facts.head))
            last = f"(SELECT max(line) FROM {rows} WHERE fault IS NOT NULL OR NOT ({blank}))"
        found = ", ".join(
            f"CAST({'NULL' if text is None else literal(storable(text))} AS VARCHAR) AS {name}"
            for name, text in facts.found.items()
        )
        return f"(SELECT *, {found}, {last} AS last_line FROM {rows})"


@dataclass(frozen=True)
class _Statements:
    """SQL over the cells of a file.

    Args:
        counts: Rows, and rejected ones.
        readings: The readings.
        rejects: The rejected lines.
    """

    counts: str
    readings: str
    rejects: str


def _cells_of(head: Head) -> list[str]:
    return [f"c{number}" for number in range(1, len(head.columns) + 1)]
