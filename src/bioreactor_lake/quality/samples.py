"""A few of the rows that fail, fetched only where some do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.lake.compiled import compile_sql
from bioreactor_lake.quality.limits import without_limits
from bioreactor_lake.quality.querying import Row, fetch, fetch_sql
from bioreactor_lake.quality.questions import BATCH, Notice, Subject
from bioreactor_lake.sql import literal, quote

# Numbering all failing rows finds samples of every batch in one pass, but sorts them: not where they are many.
_NUMBERED = 200_000
_BATCHES = 20
_PLACE = "lake_place"


def take_samples(
    subject: Subject, failing: ir.Table | str, counts: Mapping[Any, int], limit: int, order: Sequence[str] = ()
) -> dict[Any, tuple[Row, ...]]:
    """Some failing rows of each batch that has any, or of the table.

    Args:
        subject: What was asked.
        failing: The rows that fail, as an expression or as SQL.
        counts: How many fail, by batch; under None those of the table, or without a batch.
        limit: How many to take of each.
        order: Columns to sort them by; none for any.

    Returns:
        Rows by batch. Where very many rows fail, the first batches only.
    """
    backend = subject.table.get_backend()
    query = failing if isinstance(failing, str) else compile_sql(backend, without_limits(failing))
    ordered = f"ORDER BY {', '.join(map(quote, order))}" if order else ""
    if not subject.by_batch:
        return {None: tuple(fetch_sql(backend, f"SELECT * FROM ({query}) AS failing {ordered} LIMIT {limit}"))}
    batches = list(counts)[:_BATCHES]
    by = quote(BATCH)
    if sum(counts.values()) > _NUMBERED:
        return {
            batch: tuple(
                fetch_sql(
                    backend,
                    f"SELECT * FROM ({query}) AS failing "
                    f"WHERE {by} {'IS NULL' if batch is None else f'= {literal(batch)}'} {ordered} LIMIT {limit}",
                )
            )
            for batch in batches
        }
    numbered = f"SELECT *, row_number() OVER (PARTITION BY {by} {ordered}) AS {_PLACE} FROM ({query}) AS failing"
    rows = fetch_sql(backend, f"SELECT * FROM ({numbered}) AS numbered WHERE {_PLACE} <= {limit} ORDER BY {_PLACE}")
    found = defaultdict(list)
    for row in rows:
        del row[_PLACE]
        found[row.get(BATCH)].append(row)
    return {batch: tuple(some) for batch, some in found.items()}


def name_values(subject: Subject, notice: Notice) -> dict[Any, list[Any]]:
    """The values that a notice names, by batch or under None."""
    rows = notice.rows.select(*([BATCH] if subject.by_batch else []), lake_value=notice.rows[notice.column]).distinct()
    found = defaultdict(list)
    for row in fetch(rows):
        found[row.get(BATCH)].append(row["lake_value"])
    return {batch: sorted(values, key=str) for batch, values in found.items()}
