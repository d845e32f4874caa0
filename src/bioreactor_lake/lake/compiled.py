"""SQL of expressions, which a process that stays compiles once for whichever batches it is asked.

Ibis takes 10 to 30 ms for an expression, as long as DuckDB takes for the rows of a batch. The expressions of two runs
are the same but for the batches that they are narrowed to, so these are left open in the SQL that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir

from bioreactor_lake.lake import resident
from bioreactor_lake.lake.locality import BATCH
from bioreactor_lake.lake.structure import hash_structure
from bioreactor_lake.sql import literal

_STAND_IN = f"stand-in-{uuid4().hex}"


def compile_sql(backend: Any, table: ir.Table) -> str:
    """The SQL of an expression, as its backend compiles it."""
    if not resident.stays():
        return str(backend.compile(table))
    lists = _lists_of_batches(table)
    numbers = {batches: number for number, batches in enumerate(dict.fromkeys(lists.values()))}
    left_open = {node: f"list {numbers[batches]} of {len(batches)}" for node, batches in lists.items()}
    structure = hash_structure(table, left_open=left_open)
    if structure is None:
        return str(backend.compile(table))

    def open_lists(node: Any, changed: dict[str, Any] | None) -> Any:
        made = node.__recreate__(changed) if changed else node
        if node not in lists:
            return made
        number = numbers[lists[node]]
        return ops.InValues(
            made.value, [ops.Literal(stand_in(place, number), dt.string) for place in range(len(lists[node]))]
        )

    def compile_open() -> str:
        return str(backend.compile(table.op().replace(open_lists).to_expr() if lists else table))

    sql = resident.kept(("SQL", backend.name, structure), compile_open)
    places = {stand_in(place, number): batch for one, number in numbers.items() for place, batch in enumerate(one)}
    return put_in(sql, places)


def put_in(sql: str, batches: Mapping[str, str]) -> str:
    """SQL with batches in the places of their stand-ins."""
    for open_place, batch in batches.items():
        sql = sql.replace(literal(open_place), literal(batch))
    return sql


def stand_in(place: int, number: int = 0) -> str:
    """What stands for a batch in SQL that is kept.

    Args:
        place: Its place in its list.
        number: Which of several lists.
    """
    return f"{_STAND_IN} {number}.{place}."


def _lists_of_batches(table: ir.Table) -> dict[ops.InValues, tuple[str, ...]]:
    """The tests for some batches in an expression, each with the batches."""
    found = {}
    for node in table.op().find(ops.InValues):
        if isinstance(node.value, ops.Field) and node.value.name == BATCH:
            values = tuple(option.value for option in node.options if isinstance(option, ops.Literal))
            if len(values) == len(node.options) and all(isinstance(value, str) for value in values):
                found[node] = values
    return found
