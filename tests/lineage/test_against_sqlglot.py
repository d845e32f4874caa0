"""Column lineage against sqlglot's, which parses the SQL of the same expression, where that one is right.

sqlglot names the columns that a column's SQL mentions on its way, in lower case, without saying how they take part,
and nothing of what decides about rows. `ELSEWHERE` says where it is wrong or speaks of something else.
"""

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pytest
from expressions import CASES
from project_tables import expressions
from sqlglot import exp
from sqlglot.lineage import lineage

from bioreactor_lake.lineage.columns import trace_columns
from bioreactor_lake.lineage.origins import ROWS

TABLES = {name: case.table for name, case in CASES.items()} | expressions()
ELSEWHERE = {
    "difference": "sqlglot calls the right side of EXCEPT an input of the values; none of them arrives",
    "intersection": "both sides hold the values that are kept; the graph counts the left one, the right one decides",
    "scalar subquery": "sqlglot misses what a subquery in a value is filtered by",
}


def by_sqlglot(expression: ir.Table) -> dict[str, set[tuple[str, str]]]:
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for leaf in expression.op().find(ops.UnboundTable):
        columns = dict.fromkeys(leaf.schema, "text")
        schema.setdefault(leaf.namespace.database, {})[leaf.name] = columns
    sql = ibis.to_sql(expression, dialect="duckdb")
    found: dict[str, set[tuple[str, str]]] = {}
    for column in expression.columns:
        found[column] = {
            (f"{node.expression.db}.{node.expression.name}", node.name.rpartition(".")[2].strip('"'))
            for node in lineage(exp.column(column, quoted=True), sql, schema=schema, dialect="duckdb").walk()
            if isinstance(node.expression, exp.Table)
        }
    return found


def by_graph(expression: ir.Table) -> dict[str, set[tuple[str, str]]]:
    return {
        column: {(one.table, one.column.lower()) for one in found.origins if one.column != ROWS}
        for column, found in trace_columns(expression).columns.items()
    }


@pytest.mark.parametrize("name", [name for name in TABLES if name not in ELSEWHERE])
def test_the_same_columns_as_sqlglot(name: str) -> None:
    assert by_graph(TABLES[name]) == by_sqlglot(TABLES[name])


@pytest.mark.parametrize("name", ELSEWHERE)
def test_sqlglot_says_otherwise_still(name: str) -> None:
    assert by_graph(TABLES[name]) != by_sqlglot(TABLES[name])
