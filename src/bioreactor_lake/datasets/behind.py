"""Batches of which the tables below a mart hold an earlier state than the one that was checked.

Layers run at times of their own. A batch that failed, was mended and taken in again passes every check of staging
while the tables above still hold what failed: nobody vouches for that, and it must not be published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets import holdings
from bioreactor_lake.datasets.gate import Hold, find_released, state_of
from bioreactor_lake.lake.logic import WHOLE, keyed_leaves, name_leaf
from bioreactor_lake.sql import literal


def find_behind(backend: Any, data: ir.Table, batches: Sequence[str]) -> dict[str, tuple[Hold, ...]]:
    """The batches of which a table below holds something else than its own upstreams do now; not those released so.

    Args:
        backend: The warehouse.
        data: The expression of a mart.
        batches: The batches that are about to be published or to be deleted.
    """
    released = find_released(backend)
    among = f"list_contains([{', '.join(map(literal, batches))}]::VARCHAR[], batch_id)"
    found: dict[str, tuple[Hold, ...]] = {}
    for table in dict.fromkeys(name for leaf in keyed_leaves(data) for name in _tables_below(backend, name_leaf(leaf))):
        rows = backend.raw_sql(
            f"WITH held AS ({holdings.held_by(backend, table)}), due AS ({holdings.expected_now(backend, table)}) "
            "SELECT batch_id, held.fingerprint FROM held FULL JOIN due USING (batch_id) "
            "WHERE held.fingerprint IS DISTINCT FROM due.fingerprint AND coalesce(held.fingerprint, '') NOT IN "
            f"(SELECT fingerprint FROM due WHERE starts_with(fingerprint, {literal(WHOLE)})) AND {among}"
        ).fetchall()
        for batch, fingerprint in rows:
            state = state_of(table, fingerprint or "without it")
            if (batch, state) not in released:
                reason = f"{table} holds an earlier state of it than was checked; next: kedro run"
                found[batch] = (*found.get(batch, ()), Hold(batch, reason, reason, state))
    return found


def _tables_below(backend: Any, name: str) -> Iterator[str]:
    """A relation if it is a table with rows of its own, and those below it."""
    kind, upstreams = holdings.upstreams_of(backend, name)
    for upstream in upstreams:
        yield from _tables_below(backend, upstream)
    if kind == "table":
        yield name
