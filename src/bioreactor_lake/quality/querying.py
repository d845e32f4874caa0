"""Queries of checks: read as plain rows, and undone where they fail, so that a transaction under way goes on."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.lake.compiled import compile_sql

Row = dict[str, Any]


def fetch(table: ir.Table) -> list[Row]:
    """The rows of an expression, without the detour over pandas that Ibis takes."""
    backend = table.get_backend()
    return fetch_sql(backend, compile_sql(backend, table))


def fetch_sql(backend: Any, query: str) -> list[Row]:
    """The rows of a query."""
    with _undone_on_error(backend):
        cursor = backend.con.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor.fetchall()]


def is_answering(backend: Any) -> bool:
    """Whether the engine answers at all, so that what failed was the query."""
    try:
        return bool(fetch_sql(backend, "SELECT 1 AS one"))
    except Exception:
        return False


def is_interruption(error: BaseException) -> bool:
    """Whether a signal ended a query: DuckDB makes errors of its own of what a signal handler raises."""
    return type(error).__name__ == "InterruptException" or str(error) == "Query interrupted"


def _undone_on_error(backend: Any) -> AbstractContextManager[Any]:
    # Postgres goes no further in a transaction after an error, and Ibis would roll all of it back: a savepoint, or a
    # transaction of its own where none is under way, is all that is lost.
    return backend.con.transaction() if backend.name == "postgres" else nullcontext()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        # What cannot be a whole number at all is NaN or infinite.
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    return value
