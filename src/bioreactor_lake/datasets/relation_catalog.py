"""Which relations the warehouse has, of which kind and with which columns, by DuckDB's catalog.

Asking DuckDB to describe a view would open raw files, and Ibis lists tables by way of pyarrow. The catalog's functions
go through every column of every schema, so in a run, where nobody else can write, they are asked once and again after
each save that made or altered a relation.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from bioreactor_lake.datasets import known_in_run

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


def find(backend: Any, schema: str, name: str) -> Relation | None:
    """A relation, or None where there is none of that name."""
    return known_in_run.known(backend, ("catalog",), lambda: _read(backend)).get((schema, name))


def columns_of(backend: Any, schema: str, name: str) -> Columns:
    """The columns of a relation, none where it is not there."""
    found = find(backend, schema, name)
    return [] if found is None else found.columns


def forget() -> None:
    """Ask again the next time: a relation was made, altered or dropped."""
    known_in_run.forget("catalog")


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
