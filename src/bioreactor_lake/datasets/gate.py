"""The gate before the marts: batches that are held keep the rows that were last published of them, or stay absent.

Tables of the warehouse always hold what the accepted raw files say. Whether a batch is published is decided here, from
what the lake knows of it: one of its files cannot be read any more, so that it has lost rows, or it fails an error of a
suite. A person may release a batch; that is kept for ever, and counts for the state of the data that the
person has seen and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets import holdings, relation_catalog, verdicts
from bioreactor_lake.lake.incidents import without_values
from bioreactor_lake.lake.locality import BATCH
from bioreactor_lake.lake.logic import WHOLE, keyed_leaves
from bioreactor_lake.quality.verdicts import WARN
from bioreactor_lake.sql import literal

FILES_READ = "lake_state.files_read"
"""Which batches each raw file held when it was last read; none where it was taken away since."""
RELEASES = "quality.releases"
"""Schema and name of what people have released."""


@dataclass(frozen=True)
class Hold:
    """Why a batch is held.

    Args:
        batch: The batch.
        reason: For people, in a sentence.
        plain: The same without values of the data.
        state: What the hold is about: another state of the data makes another hold.
    """

    batch: str
    reason: str
    plain: str
    state: str


def find_holds(backend: Any, mart: str | None = None) -> dict[str, tuple[Hold, ...]]:
    """The batches that are held now, each with its reasons; released ones are left out.

    Args:
        backend: The warehouse.
        mart: A mart after `holdings.expect`, whose own checks count as well; None for what holds for all.
    """
    if relation_catalog.find(backend, "raw", "files") is None:
        return {}
    released = find_released(backend)
    holds: dict[str, list[Hold]] = {}
    for hold in (*_of_quarantined_versions(backend), *_of_checks(backend, mart)):
        if (hold.batch, hold.state) not in released:
            holds.setdefault(hold.batch, []).append(hold)
    return {batch: tuple(found) for batch, found in sorted(holds.items())}


def _of_quarantined_versions(backend: Any) -> Iterable[Hold]:
    """Batches of files that could be read and cannot now: what they would say of them is not known."""
    if relation_catalog.find(backend, "lake_state", "files_read") is None:
        return
    rows = backend.raw_sql(
        "SELECT unnest(r.batch_ids), path, f.reason, f.content_hash, f.run_id FROM raw.files AS f "
        f"JOIN {FILES_READ} AS r USING (path) WHERE f.status = 'quarantined' ORDER BY ALL"
    ).fetchall()
    for batch, path, reason, content, run_id in rows:
        # The same bytes that come again after a mend were found by another run, and are another hold.
        state = f"quarantined {path} {content} {run_id}"
        of_file = f"The newest version of {path} is quarantined"
        yield Hold(batch, f"{of_file}: {reason}", f"{of_file}: {without_values(reason)}", state)


def _of_checks(backend: Any, mart: str | None) -> Iterable[Hold]:
    """Batches that fail an error of a suite, in a table of the warehouse as it is or in a mart as it would be."""
    failing = verdicts.find_failing(backend, verdicts.failing_tables(backend))
    if mart is not None:
        failing += verdicts.find_failing_expected(backend, mart)
    for one in failing:
        if one.severity != WARN and one.batch != verdicts.TABLE:
            reason, plain = (f"{one.table}: {text}" for text in (one.sentence, one.plain))
            yield Hold(one.batch, reason, plain, state_of(one.table, one.fingerprint))


def state_of(table: str, fingerprint: str) -> str:
    """What a check is about, as releases name it: other data or logic are another state, other limits are not."""
    return f"{table} {fingerprint}"


def settle_holds(
    backend: Any,
    mart: str,
    data: ir.Table,
    logic: str,
    *,
    published: Callable[[Sequence[str]], Mapping[str, str]] = lambda held: {},
    assume: Mapping[str, str] | None = None,
    besides: Mapping[str, tuple[Hold, ...]] | None = None,
) -> dict[str, tuple[Hold, ...]]:
    """The batches that are held of a mart, with what is expected of it then.

    Where a mart is computed over several batches, which of them are left out changes what is expected of the others,
    and that may have failed as well: until no more are found.

    Args:
        backend: The warehouse.
        mart: Schema and name.
        data: Its expression.
        logic: Its logic.
        published: Gives batch and fingerprint of what the mart holds of some batches.
        assume: As for `holdings.expect`.
        besides: Batches that are held in any case.
    """
    besides = besides or {}
    holds = dict(sorted(besides.items()))
    while True:
        holdings.expect(backend, data, logic, assume)
        if holds:
            hold_back(backend, logic, published(sorted(holds)), sorted(holds))
        found = find_holds(backend, mart)
        if found.keys() <= holds.keys():
            return {batch: found.get(batch, ()) + besides.get(batch, ()) or holds[batch] for batch in holds}
        holds = dict(sorted({**holds, **found}.items()))


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


def find_released(backend: Any) -> set[tuple[str, str]]:
    """Batch and state of all that people have released."""
    if relation_catalog.find(backend, "quality", "releases") is None:
        return set()
    return set(backend.raw_sql(f"SELECT batch_id, state FROM {RELEASES}").fetchall())


def _keep_others(rows: ir.Table, held: Sequence[str]) -> ir.Table:
    return rows.filter(~rows[BATCH].isin(list(held)))
