"""Column lineage against DuckDB's answers: what a changed column changes, lineage must name.

A column of a leaf table gets other values. Where an output column then has other values, the changed column has to be
among its inputs, or among those that decide about the rows. So nothing that matters is left out, whatever the author of
the rules thought of.
"""

import random
from collections import Counter
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from expressions import CASES
from project_tables import expressions

from bioreactor_lake.lineage.columns import trace_columns

NODES = expressions()
LEAVES = (ibis.expr.operations.UnboundTable,)
# Which rows a limit keeps among equals is DuckDB's choice.
CHOSEN = {"limit", "sort and limit", "sixty levels, each using the last twice"}


def random_cells(kind: ibis.DataType, count: int, chance: random.Random) -> list[object]:
    if kind.is_string():
        return [chance.choice(["ph", "do", "B1", "Basel", "accepted", None]) for _ in range(count)]
    if kind.is_floating():
        return [chance.choice([None, -1.5, 0.5, 1.0, 2.0, 7.25, 30.0]) for _ in range(count)]
    if kind.is_integer():
        return [chance.choice([0, 1, 2, 50]) for _ in range(count)]
    if kind.is_timestamp():
        return [datetime(2026, 1, 5) + timedelta(minutes=chance.randrange(20)) for _ in range(count)]
    if kind.is_array():
        return [[chance.randrange(3) for _ in range(chance.randrange(3))] for _ in range(count)]
    raise AssertionError(kind)


def random_table(schema: ibis.Schema, chance: random.Random) -> dict[str, list[object]]:
    return {name: random_cells(kind, 30, chance) for name, kind in schema.items()}


def answer(expression: ir.Table, tables: dict[str, dict[str, list[object]]]) -> dict[str, Counter[str]]:
    """Each output column's values, as often as they come."""
    backend = ibis.duckdb.connect()
    backend.raw_sql("SET TimeZone = 'UTC'; SET threads = 1")
    for leaf in expression.op().find(LEAVES):
        space = leaf.namespace.database or "main"
        backend.raw_sql(f"CREATE SCHEMA IF NOT EXISTS {space}")
        held = pa.table(tables[leaf.name], schema=leaf.schema.to_pyarrow())
        backend.con.register("held", held)
        backend.raw_sql(f"CREATE OR REPLACE TABLE {space}.{leaf.name} AS FROM held")
        backend.con.unregister("held")
    rows = backend.raw_sql(ibis.to_sql(expression, dialect="duckdb")).fetchall()
    backend.disconnect()
    return {name: Counter(str(row[place]) for row in rows) for place, name in enumerate(expression.columns)}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in (*CASES, *NODES) if name not in CHOSEN])
def test_what_a_changed_column_changes_is_named(name: str) -> None:
    expression = CASES[name].table if name in CASES else NODES[name]
    traced = trace_columns(expression)
    chance = random.Random(7)
    named = {
        column: {(one.table.rpartition(".")[2], one.column) for one in (*lineage.origins, *traced.rows)}
        for column, lineage in traced.columns.items()
    }
    for _round in range(3):
        tables = {leaf.name: random_table(leaf.schema, chance) for leaf in expression.op().find(LEAVES)}
        before = answer(expression, tables)
        for leaf in expression.op().find(LEAVES):
            for column, kind in leaf.schema.items():
                other = {**tables, leaf.name: {**tables[leaf.name], column: random_cells(kind, 30, chance)}}
                after = answer(expression, other)
                for output in expression.columns:
                    if before[output] != after[output]:
                        assert (leaf.name, column) in named[output], f"{output} follows {leaf.name}.{column}"
