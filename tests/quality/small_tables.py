"""Small tables of readings in DuckDB and in Postgres, made of rows that say only what is special about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import ibis
import ibis.expr.types as ir
import psycopg

T0 = datetime(2026, 1, 5, 10, 0)
NOW = datetime(2026, 1, 6, 10, 0, tzinfo=UTC)
USUAL: dict[str, Any] = {
    "batch_id": "B-1", "equipment_id": "R-1", "tag": "ph", "ts": T0, "value": 7.0, "n": 1, "text": "ab", "other": "cd",
    "flag": True, "source_file": "a.parquet",
}  # fmt: skip
TYPES = {
    "batch_id": "VARCHAR", "equipment_id": "VARCHAR", "tag": "VARCHAR", "ts": "TIMESTAMP", "value": "DOUBLE PRECISION",
    "n": "BIGINT", "text": "VARCHAR", "other": "VARCHAR", "flag": "BOOLEAN", "source_file": "VARCHAR",
}  # fmt: skip
_numbers = count()

Rows = Sequence[dict[str, Any]]


def at(minutes: float) -> datetime:
    """A time after the first."""
    return T0 + timedelta(minutes=minutes)


class Engine:
    """An engine in which tables are made."""

    def __init__(self, backend: Any, database: str) -> None:
        self.backend, self.database = backend, database

    @classmethod
    def duckdb(cls) -> Engine:
        return cls(ibis.duckdb.connect(), "main")

    @classmethod
    def postgres(cls, url: str) -> Engine:
        connection = psycopg.connect(url, autocommit=True, options="-c TimeZone=UTC")
        return cls(ibis.postgres.from_connection(connection), "public")

    def table(self, rows: Rows, *, without: Sequence[str] = (), **types: str) -> ir.Table:
        """A table of rows; those of Postgres know the zone of their times, as the marts do."""
        name = f"t{next(_numbers)}"
        columns = {column: kind for column, kind in {**TYPES, **types}.items() if column not in without}
        if self.backend.name == "postgres":
            columns = {column: kind.replace("TIMESTAMP", "TIMESTAMPTZ") for column, kind in columns.items()}
        spelled = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        self.backend.con.execute(f"CREATE TABLE {name} ({spelled})")
        for row in rows:
            values = ", ".join(spell({**USUAL, **row}.get(column)) for column in columns)
            self.backend.con.execute(f"INSERT INTO {name} VALUES ({values})")
        return self.backend.table(name, database=self.database)


def spell(value: Any) -> str:
    """A value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"
