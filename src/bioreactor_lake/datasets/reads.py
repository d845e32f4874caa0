"""What a save read: counted by the lake's own records, so that nothing is read for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets import holdings
from bioreactor_lake.lake.logic import leaves, name_leaf
from bioreactor_lake.lake.narrowing import SOURCE_FILE
from bioreactor_lake.lake.runs import RAW_FILES, ReadReport
from bioreactor_lake.sql import literal


def find_reads(backend: Any, data: ir.Table, batches: Sequence[str] | None) -> tuple[ReadReport, ...]:
    """What was read of each leaf of an expression.

    Args:
        backend: The warehouse.
        data: The expression.
        batches: The batches that it was computed for; None for all.
    """
    listed = None if batches is None else f"[{', '.join(map(literal, batches))}]::VARCHAR[]"
    reads = []
    for leaf in leaves(data):
        name = name_leaf(leaf)
        if SOURCE_FILE in leaf.schema:
            among = "" if listed is None else f" AND list_has_any(batch_ids, {listed})"
            reads.append(_count_files(backend, name, f"status = 'accepted'{among}"))
        elif "batch_id" in leaf.schema:
            among = "" if listed is None else f" WHERE list_contains({listed}, batch_id)"
            (rows,) = backend.raw_sql(
                f"SELECT coalesce(sum(rows), 0) FROM ({holdings.held_rows(name)}){among}"
            ).fetchone()
            reads.append(ReadReport(name, int(rows)))
    return tuple(reads)


def find_inspected(backend: Any, run_id: str) -> ReadReport:
    """The raw files that a run has looked into."""
    return _count_files(backend, RAW_FILES, f"run_id = {literal(run_id)} AND status IN ('accepted', 'quarantined')")


def _count_files(backend: Any, name: str, condition: str) -> ReadReport:
    rows, files, size = backend.raw_sql(
        "SELECT coalesce(sum(rows_accepted + rows_rejected), 0), count(*), coalesce(sum(size_bytes), 0) "
        f"FROM raw.files WHERE {condition}"
    ).fetchone()
    return ReadReport(name, int(rows), int(files), int(size))
