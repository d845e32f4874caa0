"""The gate before the marts: batches that are held keep the rows that were last published of them, or stay absent.

Tables of the warehouse always hold what the accepted raw files say. Whether a batch is published is decided here, from
what the lake knows of it: a newer version of one of its files was quarantined, so that it has lost rows. A person may
release a batch; that is kept for ever and counts for the state of the data that the person has seen, and no other.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets import relation_catalog
from bioreactor_lake.lake.locality import BATCH
from bioreactor_lake.lake.logic import WHOLE, keyed_leaves
from bioreactor_lake.sql import literal

_RELEASES = "quality.releases"


@dataclass(frozen=True)
class Hold:
    """Why a batch is held.

    Args:
        batch: The batch.
        reason: For people, in a sentence.
        state: What the hold is about: another state of the data makes another hold.
    """

    batch: str
    reason: str
    state: str


def find_holds(backend: Any) -> dict[str, tuple[Hold, ...]]:
    """The batches that are held now, each with its reasons; released ones are left out.

    Args:
        backend: The warehouse, with a manifest.
    """
    if relation_catalog.find(backend, "raw", "files") is None:
        return {}
    released = _released(backend)
    holds: dict[str, list[Hold]] = {}
    for hold in _of_quarantined_versions(backend):
        if (hold.batch, hold.state) not in released:
            holds.setdefault(hold.batch, []).append(hold)
    return {batch: tuple(found) for batch, found in sorted(holds.items())}


def _of_quarantined_versions(backend: Any) -> Iterable[Hold]:
    """Batches of files of which a newer version cannot be read: what it would have said of them is not known."""
    rows = backend.raw_sql(
        "WITH accepted_before AS (SELECT path, batch_ids, row_number() OVER (PARTITION BY path "
        "ORDER BY last_seen_at DESC, first_seen_at DESC) AS age FROM raw.files "
        "WHERE status = 'superseded' AND reason IS NULL AND batch_ids IS NOT NULL) "
        "SELECT DISTINCT unnest(b.batch_ids), f.path, f.reason, f.content_hash FROM raw.files AS f "
        "JOIN accepted_before AS b ON b.path = f.path AND b.age = 1 WHERE f.status = 'quarantined' ORDER BY ALL"
    ).fetchall()
    for batch, path, reason, content in rows:
        yield Hold(batch, f"The newest version of {path} is quarantined: {reason}", f"quarantined {path} {content}")


def hold_back(backend: Any, logic: str, published: Mapping[str, str], held: Sequence[str]) -> None:
    """Expect of held batches what is published of them, so that a publish leaves them as they are.

    Args:
        backend: The warehouse, after `holdings.expect`.
        logic: The logic of the mart.
        published: Batch and fingerprint of what the mart holds of the held batches.
        held: The held batches.
    """
    listed = ", ".join(map(literal, held))
    table = "temp.main.expected_batches"
    backend.raw_sql(f"DELETE FROM {table} WHERE batch_id IN ({listed})")
    if logic.startswith(WHOLE):
        # Its batches change with one another, and so with which of them are left out.
        backend.raw_sql(
            f"UPDATE {table} SET fingerprint = {literal(WHOLE)} || md5(fingerprint || {literal('|'.join(held))})"
        )
    if published:
        rows = ", ".join(f"({literal(batch)}, {literal(fingerprint)})" for batch, fingerprint in published.items())
        backend.raw_sql(f"INSERT INTO {table} VALUES {rows}")


def without(data: ir.Table, held: Sequence[str]) -> ir.Table:
    """An expression without the rows of held batches, neither in its result nor in what it is computed from."""
    if not held:
        return data
    filtered = {leaf: _keep_others(leaf.to_expr(), held).op() for leaf in keyed_leaves(data)}
    return _keep_others(data.op().replace(filtered).to_expr(), held)


def release(backend: Any, holds: Sequence[Hold], reason: str) -> None:
    """Let held batches be published as they are now.

    Args:
        backend: The warehouse, open for writing.
        holds: The holds that end.
        reason: Why, in the words of whoever answers for it; kept for ever.
    """
    backend.raw_sql("CREATE SCHEMA IF NOT EXISTS quality")
    backend.raw_sql(
        f"CREATE TABLE IF NOT EXISTS {_RELEASES} (batch_id VARCHAR, state VARCHAR, held_for VARCHAR, reason VARCHAR, "
        "released_by VARCHAR, released_at TIMESTAMP)"
    )
    for hold in holds:
        values = ", ".join(map(literal, (hold.batch, hold.state, hold.reason, reason, getpass.getuser())))
        backend.raw_sql(f"INSERT INTO {_RELEASES} VALUES ({values}, make_timestamp(epoch_us(now())))")


def _released(backend: Any) -> set[tuple[str, str]]:
    if not backend.raw_sql(
        "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'quality' AND table_name = 'releases'"
    ).fetchone():
        return set()
    return set(backend.raw_sql(f"SELECT batch_id, state FROM {_RELEASES}").fetchall())


def _keep_others(rows: ir.Table, held: Sequence[str]) -> ir.Table:
    return rows.filter(~rows[BATCH].isin(list(held)))
