"""Whether an expression treats each row by itself, so that some files of its input give just those files' rows."""

from __future__ import annotations

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.graph import Graph

_RELATIONS = (ops.DatabaseTable, ops.UnboundTable, ops.Project, ops.Filter, ops.DropColumns, ops.FillNull, ops.DropNull)
_OF_SEVERAL_ROWS = (ops.Analytic, ops.Reduction, ops.WindowFunction, ops.Subquery)


def is_row_wise(table: ir.Table) -> bool:
    """Whether every row of an expression comes from one row of a leaf, whatever the others are.

    >>> import ibis
    >>> readings = ibis.table({"batch_id": "string", "value": "float64"}, name="readings")
    >>> is_row_wise(readings.filter(readings.value > 0).mutate(double=readings.value * 2))
    True
    >>> is_row_wise(readings.mutate(share=readings.value / readings.value.sum()))
    False
    """
    for node in Graph.from_bfs(table.op()):
        if isinstance(node, ops.Union):
            if node.distinct:
                return False
        elif isinstance(node, _OF_SEVERAL_ROWS) or (
            isinstance(node, ops.Relation) and not isinstance(node, _RELATIONS)
        ):
            return False
    return True
