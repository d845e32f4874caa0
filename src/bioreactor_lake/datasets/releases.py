"""Releases: held batches that somebody lets into the marts as they are."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import ibis.expr.types as ir
import psycopg
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from bioreactor_lake.datasets import MANIFEST, holdings, warehouse
from bioreactor_lake.datasets.gate import RELEASES, Hold, find_holds, hold_back, settle_holds, state_of
from bioreactor_lake.datasets.known_logic import logic_for
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.planning import expressions
from bioreactor_lake.datasets.recall import ensure_releases, share_releases
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.environment import find_user
from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.postgres import holdings as mart_state
from bioreactor_lake.sql import literal

logger = logging.getLogger(__name__)


def release_batches(
    catalog: CatalogProtocol[Any, Any], pipeline: Pipeline, batches: Collection[str], reason: str
) -> dict[str, tuple[Hold, ...]]:
    """Let the next run publish held batches as they are now; returns the holds that this ends, per batch.

    Args:
        catalog: The project's catalog.
        pipeline: All nodes.
        batches: The batches.
        reason: Why, in the words of whoever answers for it; kept for ever.

    Raises:
        UsageError: A batch is not held; nothing was released.
        LakeError: There is no warehouse yet, or another process uses it.
    """
    manifest = catalog[MANIFEST]
    manifest.load()
    backend = warehouse.connect(manifest.warehouse_config, write=True)
    tables = [(dataset, made) for dataset, made in expressions(catalog, pipeline) if made is not None]
    holds = _find_all_holds(backend, tables)
    if unknown := [batch for batch in batches if batch not in holds]:
        held = ", ".join(list(holds)[:10]) or "none"
        raise UsageError(f"{', '.join(unknown)} is not held.", next_step=f"Held now: {held}.")
    # What is checked later of the same data and logic counts as seen.
    states = _find_states(backend, tables, batches, holds)
    with warehouse.transaction(backend):
        for batch in batches:
            _remember(backend, holds[batch], states[batch], reason)
    _share(backend, tables)
    return {batch: holds[batch] for batch in batches}


def find_unread(catalog: CatalogProtocol[Any, Any], batches: Collection[str]) -> set[str]:
    """Those of some batches that no accepted file has readings of: as it is now, there is nothing of them."""
    manifest = catalog[MANIFEST]
    backend = warehouse.connect(manifest.warehouse_config, write=True)
    query = f"SELECT DISTINCT unnest(batch_ids) FROM {manifest.qualified_name} WHERE status = 'accepted'"
    return set(batches) - {batch for (batch,) in backend.raw_sql(query).fetchall()}


def _share(backend: Any, tables: Iterable[tuple[Any, ir.Table]]) -> None:
    """Keep releases in the database of the marts as well; where it cannot be reached, the next publish does."""

    def share(connection: psycopg.Connection[Any]) -> None:
        mart_state.ensure(connection)
        share_releases(backend, connection, warehouse.identity(mart.warehouse_config))

    for mart in [dataset for dataset, _ in tables if isinstance(dataset, MartDataset)][:1]:
        try:
            mart.impatient_database.attempt(share, what="Keeping the release", kept="It is kept in the warehouse.")
        except LakeError as error:
            logger.warning("%s", error)


def _find_all_holds(backend: Any, tables: Iterable[tuple[Any, ir.Table]]) -> dict[str, tuple[Hold, ...]]:
    """The batches that are held of any mart; arguments as for `_find_states`."""
    holds = {batch: dict.fromkeys(found) for batch, found in find_holds(backend).items()}
    for dataset, expression in tables:
        if not isinstance(dataset, WarehouseDataset):
            name = dataset.qualified_name
            logic = logic_for(backend, name, expression)
            for batch, found in settle_holds(backend, name, expression, logic).items():
                holds.setdefault(batch, {}).update(dict.fromkeys(found))
    return {batch: tuple(found) for batch, found in sorted(holds.items())}


def _find_states(
    backend: Any, tables: Iterable[tuple[Any, ir.Table]], batches: Collection[str], held: Collection[str]
) -> dict[str, list[str]]:
    """What each table holds of batches, and each mart would hold once they are released, as releases name it.

    Args:
        backend: The warehouse.
        tables: The datasets of tables and marts with their expressions.
        batches: The batches.
        held: All that are held.
    """
    states: dict[str, list[str]] = {batch: [] for batch in batches}
    others = sorted(set(held) - set(batches))
    listed = ", ".join(map(literal, batches))
    for dataset, expression in tables:
        name = dataset.qualified_name
        if isinstance(dataset, WarehouseDataset):
            query = holdings.held_by(backend, name)
        else:
            logic = logic_for(backend, name, expression)
            holdings.expect(backend, expression, logic)
            if others:
                hold_back(backend, logic, {}, others)
            query = holdings.EXPECTED_QUERY
        rows = backend.raw_sql(f"SELECT batch_id, fingerprint FROM ({query}) WHERE batch_id IN ({listed})").fetchall()
        for batch, fingerprint in rows:
            states[batch].append(state_of(name, fingerprint))
        if query == holdings.EXPECTED_QUERY:
            # A batch that only the mart calls so.
            shared = backend.raw_sql(holdings.EXPECTED_OF_ALL).fetchall()
            for batch in batches:
                states[batch] += [state_of(name, fingerprint) for (fingerprint,) in shared]
    return states


def _remember(backend: Any, holds: Sequence[Hold], states: Sequence[str], reason: str) -> None:
    """Write down that the holds of one batch have ended, and the states in which it may be published."""
    ensure_releases(backend)
    batch, held_for = holds[0].batch, "; ".join(hold.reason for hold in holds)
    for state in dict.fromkeys([*(hold.state for hold in holds), *states]):
        values = ", ".join(map(literal, (batch, state, held_for, reason, find_user())))
        backend.raw_sql(f"INSERT INTO {RELEASES} VALUES ({values}, make_timestamp(epoch_us(now())))")
