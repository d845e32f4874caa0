"""One landed file as readings: its cells by a profile, in DuckDB, with what was rejected beside its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import duckdb
import ibis
import ibis.expr.types as ir

from bioreactor_lake.datasets.faults import first_line, raise_unless_of_a_file
from bioreactor_lake.datasets.parquet_rows import escape_glob
from bioreactor_lake.errors import LakeError
from bioreactor_lake.landing.cells import NO_LAST_LINE, Limits
from bioreactor_lake.landing.text_cells import read_text
from bioreactor_lake.landing.workbook_cells import read_workbook
from bioreactor_lake.landing.zone import LandedFile
from bioreactor_lake.pipelines.ingestion.profiles.cells import Head
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.pipelines.ingestion.reading_rules import UnreadableFile
from bioreactor_lake.sql import literal, quote, storable

REJECTS = "landed_rejects"
"""Temporary table of the rejected lines of this run."""
_CELLS = "cells of the landed file"


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


def begin(backend: Any) -> None:
    """Make room for the rejected lines of a run."""
    backend.raw_sql(
        f"CREATE OR REPLACE TEMP TABLE {REJECTS} "
        "(path VARCHAR, sha256 VARCHAR, line BIGINT, reason VARCHAR, text VARCHAR)"
    )


def convert(
    backend: Any, file: LandedFile, sha256: str, profile: Profile, limits: Limits, reader: Reader, folder: Path
) -> Converted:
    """Read a landed file. Memory is bounded: cells and readings go through files.

    Args:
        backend: DuckDB.
        file: The file.
        sha256: Of its bytes.
        profile: How it is read.
        limits: What it may be.
        reader: The rules.
        folder: A folder for what is between.

    Raises:
        LakeError: The machine was at fault, and not the file.
    """
    cells, readings = folder / f"{sha256[:16]}.cells", folder / f"{sha256}-{abs(hash(file.path))}.parquet"
    path = storable(file.path)
    try:
        read = read_workbook if profile.is_excel else read_text
        head = read(file.location, file.path_in_source, profile, limits, cells)
        return _convert(backend, path, sha256, profile, limits, reader, head, cells, readings)
    except OSError as error:
        return Converted(facts={"reason": f"cannot be read: {error.strerror or error}; check its permissions"})
    except duckdb.Error as error:
        raise_unless_of_a_file(error)
        return Converted(facts={"reason": f"its rows cannot be read ({first_line(error)})"})
    except LakeError as error:
        if not isinstance(error, UnreadableFile):
            raise
        return Converted(facts={"reason": f"{error.what}: {error.next_step}"})
    finally:
        cells.unlink(missing_ok=True)


def _convert(
    backend: Any,
    path: str,
    sha256: str,
    profile: Profile,
    limits: Limits,
    reader: Reader,
    head: Head,
    cells: Path,
    into: Path,
) -> Converted:
    source = f"(FROM read_parquet({literal(_escaped(cells))}))"
    texts = ["fault", "text", *(f"c{number}" for number in range(1, len(head.columns) + 1))]
    table = ibis.table({"line": "int64", **dict.fromkeys(texts, "string")}, name=_CELLS)
    if profile.lines.skip_bottom:
        head = _with_last_line(backend, head, texts[2:], source)
    lines = reader.lines(table, profile, head)

    def sql(expression: ir.Table) -> str:
        # Not kept as other SQL is: no two files have the same.
        return str(backend.compile(expression)).replace(quote(_CELLS), source)

    counts = lines.agg(rows_in=lines.count(), rows_rejected=lines.reason.count())
    rows_in, rejected = backend.raw_sql(sql(counts)).fetchone()
    facts: dict[str, Any] = {"rows_in": rows_in, "rows_read": rows_in - rejected, "rows_rejected": rejected}
    if rejected:
        backend.raw_sql(
            f"INSERT INTO {REJECTS} SELECT {literal(path)}, {literal(sha256)}, line, reason, text "
            f"FROM ({sql(reader.rejects(lines, profile, head))})"
        )
    if not rows_in:
        return Converted(facts=facts | {"reason": "it has no rows"})
    if rejected == rows_in:
        reason, line = backend.raw_sql(
            f"SELECT reason, min(line) FROM {REJECTS} WHERE path = {literal(path)} GROUP BY 1 ORDER BY count(*) DESC, 2"
        ).fetchone()
        return Converted(facts=facts | {"reason": f"none of its {rows_in:,} rows was read: {reason} (line {line})"})
    readings = reader.readings(lines, profile, head)
    backend.raw_sql(
        f"COPY ({sql(readings)}) TO {literal(str(into))} (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE 100_000)"
    )
    total, batches, first, last, most = backend.raw_sql(
        f"SELECT sum(n), list(batch_id ORDER BY batch_id)[:{limits.batches}], min(first), max(last), count(*) FROM ("
        f"SELECT batch_id, count(*) AS n, min(ts) AS first, max(ts) AS last FROM read_parquet({literal(_escaped(into))}) "
        "GROUP BY 1)"
    ).fetchone()
    if most > limits.batches:
        return Converted(facts=facts | {"reason": f"it has {most:,} batches: check which column the profile reads them of"})
    if not total:
        return Converted(facts=facts | {"reason": "none of its rows has a value"})
    facts |= {"readings": total, "batch_ids": batches, "ts_min": first, "ts_max": last}
    return Converted(into, facts)


def _with_last_line(backend: Any, head: Head, cells: list[str], source: str) -> Head:
    blank = " AND ".join(f"trim({cell}) = ''" for cell in cells)
    (last,) = backend.raw_sql(f"SELECT max(line) FROM {source} WHERE fault IS NOT NULL OR NOT ({blank})").fetchone()
    return Head(head.path, head.columns, head.units, head.cells, NO_LAST_LINE if last is None else last)


def _escaped(path: Path) -> str:
    return escape_glob(str(path))
