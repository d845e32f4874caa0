"""Whether two lakes hold the same tables: floats to 1e-9 relative, all else exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb
import psycopg

KEY = "batch_id, equipment_id, tag"
# What a plain script cannot know: when and by which run and rules a file was looked at.
MANIFEST = (
    "path, content_hash, modified_at, size_bytes, schema_id, batch_ids, rows_accepted, rows_rejected, ts_min, ts_max, "
    "reason, status"
)
WAREHOUSE = {
    "raw.files": (MANIFEST, "path"),
    "staging.rejected_readings": ("*", "ALL"),
    "intermediate.int_bioreactor_downsample_5m": ("*", f"{KEY}, ts_5m"),
    "curated.dim_batch": ("*", "batch_id"),
    "curated.fact_bioreactor_batch_stats": ("*", KEY),
}
# Sorted by bytes, so that the order of rows is the same whatever the server's collation.
_POSTGRES_KEY = ", ".join(f'{name.strip()} COLLATE "C"' for name in KEY.split(","))
MARTS = {
    "marts.mart_bioreactor_overview": ("*", _POSTGRES_KEY),
    "marts.mart_bioreactor_timeline": ("*", f"{_POSTGRES_KEY}, ts_5m"),
}
# Millions of readings are compared by what can be summed up of them.
READINGS = """SELECT count(*), sum(hash(batch_id, equipment_id, site, tag, ts, value, value_text, unit, quality,
    source_file)) FROM staging.stg_bioreactor"""


def differences(left: tuple[Path, str], right: tuple[Path, str]) -> list[str]:
    """The tables that differ between two lakes, each with its first difference.

    Args:
        left: Warehouse and URL of the one lake.
        right: The same of the other.
    """
    found = []
    with duckdb.connect(str(left[0]), read_only=True) as one, duckdb.connect(str(right[0]), read_only=True) as other:
        for table, (columns, order) in WAREHOUSE.items():
            query = f"SELECT {columns} FROM {table} ORDER BY {order}"
            found += _compare(table, _duckdb_rows(one, query), _duckdb_rows(other, query))
        found += _compare("staging.stg_bioreactor", _duckdb_rows(one, READINGS), _duckdb_rows(other, READINGS))
    with psycopg.connect(left[1]) as here, psycopg.connect(right[1]) as there:
        for table, (columns, order) in MARTS.items():
            query = f"SELECT {columns} FROM {table} ORDER BY {order}"
            found += _compare(table, _postgres_rows(here, query), _postgres_rows(there, query))
    return found


def _compare(table: str, left: Iterator[tuple[Any, ...]], right: Iterator[tuple[Any, ...]]) -> list[str]:
    names, others = next(left), next(right)
    if names != others:
        return [f"{table}: columns {names} and {others}"]
    number = -1
    for number, (one, other) in enumerate(zip_longest(left, right)):
        if one != other and (one is None or other is None or not all(map(_same, one, other))):
            return [f"{table}: row {number} is {one} and {other}"]
    print(f"{table}: {number + 1:,} rows compared")
    return []


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return type(one) is type(other) and one == other


def _duckdb_rows(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
    """Names and types of the columns, then the rows."""
    cursor = connection.execute(query)
    yield tuple((column[0], str(column[1])) for column in cursor.description)
    while rows := cursor.fetchmany(10_000):
        yield from rows


def _postgres_rows(connection: psycopg.Connection[Any], query: str) -> Iterator[tuple[Any, ...]]:
    with connection.cursor(name="rows") as cursor:
        cursor.itersize = 10_000
        cursor.execute(query)
        yield tuple((column.name, column.type_code) for column in cursor.description or ())
        yield from cursor
