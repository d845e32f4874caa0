"""Which relations the warehouse has, of which kind and with which columns, by DuckDB's catalog.

Asking DuckDB to describe a view would open raw files, and Ibis lists tables by way of pyarrow. The catalog's functions
go through every column of every schema, so in a run, where nobody else can write, they are asked once and again after
each save that wrote.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from bioreactor_lake.lake.runs import current_run

Columns = list[tuple[str, str]]
"""Names and types as DuckDB spells them, in order."""


@dataclass(frozen=True)
class Relation:
    """A table or view.

    Args:
        kind: `table` or `view`.
        columns: Its columns.
    """

    kind: str
    columns: Columns


_Relations = dict[tuple[str, str], Relation]

# The run and the connection that it was read in. Ibis calls two connections to one file equal, so it is the object.
_known: tuple[str, weakref.ref[Any], _Relations] | None = None


def find(backend: Any, schema: str, name: str) -> Relation | None:
    """A relation, or None where there is none of that name."""
    global _known
    run = current_run()
    if run is None:
        return _read(backend).get((schema, name))
    if _known is None or _known[0] != run.run_id or _known[1]() is not backend:
        _known = run.run_id, weakref.ref(backend), _read(backend)
    return _known[2].get((schema, name))


def columns_of(backend: Any, schema: str, name: str) -> Columns:
    """The columns of a relation, none where it is not there."""
    found = find(backend, schema, name)
    return [] if found is None else found.columns


def forget() -> None:
    """Ask again the next time: something was written, or a transaction rolled back."""
    global _known
    _known = None


def _read(backend: Any) -> _Relations:
    columns: dict[tuple[str, str], Columns] = defaultdict(list)
    mine = "database_name = current_database() AND NOT internal"
    for schema, name, *column in backend.raw_sql(
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
        f"WHERE {mine} ORDER BY column_index"
    ).fetchall():
        columns[schema, name].append(tuple(column))
    views = backend.raw_sql(f"SELECT schema_name, view_name FROM duckdb_views() WHERE {mine}").fetchall()
    return {key: Relation("view" if key in views else "table", found) for key, found in columns.items()}
