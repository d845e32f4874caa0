"""Narrowing: a whole-table expression, computed for some batches only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir

from bioreactor_lake.lake.locality import BATCH
from bioreactor_lake.lake.logic import keyed_leaves

SOURCE_FILE = "source_file"


def narrow(table: ir.Table, batches: ir.Table | Sequence[str]) -> ir.Table:
    """The rows of some batches of a batch-local expression.

    Every leaf that has batches is filtered, so that the engine reads no more than it must, and so is the result.

    Args:
        table: The expression, proved to be batch-local.
        batches: The batch ids, in a list or in a table with one column `batch_id` where they are many.
    """

    def keep(rows: ir.Table) -> ir.Table:
        if isinstance(batches, ir.Table):
            return rows.semi_join(batches, BATCH)
        return rows.filter(rows[BATCH].isin(list(batches)))

    filtered: Mapping[Any, ops.Node] = {leaf: keep(leaf.to_expr()).op() for leaf in keyed_leaves(table)}
    return keep(table.op().replace(filtered).to_expr())
