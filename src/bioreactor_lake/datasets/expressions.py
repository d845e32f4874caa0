"""Expressions as DuckDB's SQL: with exact types, and narrowed to some batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from ibis.backends.sql.datatypes import DuckDBType

from bioreactor_lake.lake.compiled import FEW_BATCHES, compile_kept, compile_sql, standing_in
from bioreactor_lake.lake.narrowing import narrow
from bioreactor_lake.sql import literal, quote

logger = logging.getLogger(__name__)

_SPELLINGS = {"TEXT": "VARCHAR", "TEXT[]": "VARCHAR[]", "INT": "INTEGER", "TIMESTAMP(6)": "TIMESTAMP"}


def compile_typed(backend: Any, data: ir.Table) -> str:
    """SQL of an expression whose columns have the very types that Ibis says they have.

    DuckDB types some results more widely (a sum of integers is a HUGEINT), and Ibis leaves out a cast to the type
    that it believes a column already has.
    """
    return _typed(data, compile_sql(backend, data))


def _typed(data: ir.Table, query: str) -> str:
    columns = [f"CAST({quote(name)} AS {spell_type(kind)}) AS {quote(name)}" for name, kind in data.schema().items()]
    typed = f"SELECT {', '.join(columns)} FROM ({query}) AS whole"
    logger.debug("SQL: %s", typed)
    return typed


def schema_of(backend: Any, columns: Sequence[tuple[str, str]]) -> ibis.Schema:
    """The schema of columns by their names and types as DuckDB's catalog spells them."""
    mapper = backend.compiler.type_mapper
    return ibis.schema({name: _read_type(mapper, kind) for name, kind in columns})


@cache
def _read_type(mapper: Any, kind: str) -> dt.DataType:
    # The catalog puts quotes around the type of a Parquet column that has none.
    return dt.null if kind == '"NULL"' else mapper.from_string(kind)


@cache
def spell_type(kind: dt.DataType) -> str:
    """DuckDB's own spelling of a type."""
    spelled: str = DuckDBType.to_string(kind)
    return _SPELLINGS.get(spelled, spelled)


def narrow_to(
    backend: Any, data: ir.Table, batches: Sequence[str], *, scratch: str = "temp.main.narrowed_batches"
) -> ir.Table:
    """A batch-local expression, computed for some batches.

    Args:
        backend: The warehouse.
        data: The expression.
        batches: The batch ids.
        scratch: Table for the ids where they are many; a temporary one is seen by this connection only.
    """
    if len(batches) <= FEW_BATCHES:
        return narrow(data, batches)
    list_batches(backend, scratch, batches)
    *catalog, schema, name = scratch.split(".")
    return narrow(data, backend.table(name, database=(*catalog, schema) if catalog else schema))


def compile_narrowed(
    backend: Any, data: ir.Table, batches: Sequence[str], *, scratch: str = "temp.main.narrowed_batches"
) -> str:
    """SQL of a batch-local expression for some batches; arguments as of `narrow_to`."""
    if len(batches) > FEW_BATCHES:
        return compile_typed(backend, narrow_to(backend, data, batches, scratch=scratch))
    with standing_in(batches) as named:
        narrowed = compile_kept(backend, ("narrowed", data.op(), named), lambda: narrow(data, named))
    return _typed(data, narrowed)


def list_batches(backend: Any, table: str, batches: Sequence[str]) -> None:
    """Put batch ids into a table, a temporary one where it lies in `temp.main`."""
    ids = ", ".join(map(literal, batches))
    kind = "TEMP TABLE" if table.startswith("temp.main.") else "TABLE"
    name = table.removeprefix("temp.main.")
    backend.raw_sql(f"CREATE OR REPLACE {kind} {name} AS SELECT unnest([{ids}]::VARCHAR[]) AS batch_id")
