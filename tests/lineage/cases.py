"""An expression with the lineage that a person reads off it, and the tables of such expressions."""

from __future__ import annotations

from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir

READINGS = ibis.table(
    {
        "batch_id": "string", "tag": "string", "ts": "timestamp", "value": "float64", "low": "float64",
        "flags": "array<int64>",
    },
    name="readings",
    database="staging",
)  # fmt: skip
BATCHES = ibis.table(
    {"batch_id": "string", "site": "string", "started": "timestamp"}, name="batches", database="curated"
)
LIMITS = ibis.table({"tag": "string", "low": "float64", "since": "timestamp"}, name="limits", database="curated")

T, B, L = READINGS, BATCHES, LIMITS
OWNERS = {"readings": "staging.", "batches": "curated.", "limits": "curated."}


@dataclass(frozen=True)
class Case:
    """An expression and its lineage.

    Args:
        table: The expression.
        columns: For each output column, its inputs as `table.column SUBTYPE`.
        rows: What decides about the rows, without the tables that they are made of.
        made_of: The tables that the rows are made of.
        own: Output columns that are the ones of `readings` unchanged.
    """

    table: ir.Table
    columns: dict[str, str]
    rows: str = ""
    made_of: str = "readings"
    own: tuple[str, ...] = field(default=())
