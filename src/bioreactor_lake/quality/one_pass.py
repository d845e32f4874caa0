"""All measures of a table in one query, each aggregate once, however many expectations ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.lake.compiled import compile_kept
from bioreactor_lake.quality.querying import fetch_sql
from bioreactor_lake.quality.questions import BATCH, Answers, Measure


def measure(table: ir.Table, wanted: Sequence[Mapping[str, Measure]], *, by_batch: bool) -> list[Answers]:
    """Find out measures of a table.

    Args:
        table: The rows that all measures are of.
        wanted: The measures of each question, by name.
        by_batch: Whether they are wanted for each batch.

    Returns:
        For each question the answers, by batch or under None.
    """
    names: dict[Any, str] = {}
    for measures in wanted:
        for one in measures.values():
            names.setdefault(one.value.op(), f"measure_{len(names)}")
    if not names and not by_batch:
        return [{None: {}} for _ in wanted]

    def aggregate() -> ir.Table:
        aggregates = {name: value.to_expr() for value, name in names.items()} or {"measure_0": table.count()}
        return (table.group_by(BATCH) if by_batch else table).agg(**aggregates)

    backend = table.get_backend()
    rows = fetch_sql(backend, compile_kept(backend, ("measures", table.op(), by_batch, *names), aggregate))
    return [
        {row.get(BATCH): {name: row[names[one.value.op()]] for name, one in measures.items()} for row in rows}
        for measures in wanted
    ]


def fold(answers: Answers, measures: Mapping[str, Measure]) -> Answers:
    """The measures of a table from those of its batches."""
    found = {}
    for name, one in measures.items():
        if one.fold is None:
            raise ValueError(f"{name} of a table does not follow from its batches.")
        values = [row[name] for row in answers.values()]
        found[name] = one.fold(values) if values else one.empty
    return {None: found}
