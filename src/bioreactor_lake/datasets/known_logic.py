"""The logic of expressions, remembered by their structure.

The SQL that a logic is a hash of takes Ibis some 15 ms to compile; the structure, from which the SQL follows, half a
millisecond.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import ibis.expr.types as ir

from bioreactor_lake.lake import resident
from bioreactor_lake.lake.logic import hash_logic
from bioreactor_lake.lake.runs import current_run
from bioreactor_lake.lake.structure import hash_structure
from bioreactor_lake.sql import literal


def logic_for(backend: Any, name: str, data: ir.Table) -> str:
    """The logic of the expression of a relation; errors as of `hash_logic`."""
    return remembered(backend, name, data, lambda: hash_logic(data))


def remembered(backend: Any, name: str, data: ir.Table, compute: Callable[[], str]) -> str:
    """What is computed of the SQL of an expression, or what was for the same expression.

    Args:
        backend: The warehouse; only in a run is it written to.
        name: What it is kept under; the last one only.
        data: The expression.
        compute: Depends on the expression's SQL and leaves only.
    """
    structure = hash_structure(data)
    if structure is None:
        return compute()
    return resident.kept(("logic", name, structure), lambda: _look_up(backend, name, structure, compute))


def _look_up(backend: Any, name: str, structure: str, compute: Callable[[], str]) -> str:
    try:
        found = backend.raw_sql(
            f"SELECT value FROM lake_state.logics WHERE name = {literal(name)} AND structure = {literal(structure)}"
        ).fetchone()
    except duckdb.CatalogException:
        found = None
    if found is not None:
        return str(found[0])
    value = compute()
    if current_run() is not None:
        backend.raw_sql("CREATE SCHEMA IF NOT EXISTS lake_state")
        backend.raw_sql("CREATE TABLE IF NOT EXISTS lake_state.logics (name VARCHAR, structure VARCHAR, value VARCHAR)")
        backend.raw_sql(f"DELETE FROM lake_state.logics WHERE name = {literal(name)}")
        backend.raw_sql(
            f"INSERT INTO lake_state.logics VALUES ({literal(name)}, {literal(structure)}, {literal(value)})"
        )
    return value
