"""Rows through the rules of ingestion and staging alone, on a DuckDB in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import pyarrow as pa
from raw_files import columns

from bioreactor_lake.pipelines.ingestion.reading import read_canonical
from bioreactor_lake.pipelines.ingestion.reading_rules import ReadingRules
from bioreactor_lake.pipelines.staging.nodes import interpret


def interpreted(rules: ReadingRules, **column: Sequence[Any] | pa.Array) -> list[dict[str, Any]]:
    """Interpreted rows of one file whose other columns are plain, in the order of the file."""
    ((name, cells),) = column.items()
    backend = ibis.duckdb.connect()
    numbered = pa.table({**columns(len(cells), **{name: cells}), "source_file": [f"{n:09}" for n in range(len(cells))]})
    backend.raw_sql("SET TimeZone = 'UTC'")
    backend.con.register("file", numbered)
    rows = interpret(read_canonical(backend.table("file"), rules)).order_by("source_file")
    found = backend.raw_sql(backend.compile(rows)).fetchall()
    return [dict(zip(rows.columns, row, strict=True)) for row in found]
