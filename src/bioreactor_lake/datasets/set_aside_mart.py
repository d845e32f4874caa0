"""What is not in the marts, on its way from the warehouse to `marts.mart_set_aside`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import psycopg

from bioreactor_lake.datasets import relation_catalog, warehouse
from bioreactor_lake.datasets.gate import find_holds
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.incidents import without_values
from bioreactor_lake.lake.runs import Run
from bioreactor_lake.postgres import run_history, set_aside
from bioreactor_lake.sql import literal

logger = logging.getLogger(__name__)


def publish_set_aside(mart: MartDataset, run: Run) -> None:
    """Let the database say what is set aside now. Nothing fails: the next run that comes there says it.

    Args:
        mart: A mart; its database is told.
        run: The run, which knows the batches that it held.
    """
    backend = warehouse.writable(mart.warehouse_config)
    if backend is None:
        return
    try:
        lake_id, rows = warehouse.identity(mart.warehouse_config), _find(backend, run)
        mart.impatient_database.attempt(
            lambda connection: _replace(connection, lake_id, rows), what="Telling what is set aside", kept=""
        )
    except LakeError as error:
        logger.warning("The next run that publishes brings %s up to date: %s", set_aside.MART, error.what)


def _replace(connection: psycopg.Connection[Any], lake_id: str, rows: list[dict[str, Any]]) -> None:
    if run_history.belongs_to(connection, lake_id):
        set_aside.ensure(connection)
        set_aside.replace(connection, rows)


def _find(backend: Any, run: Run) -> list[dict[str, Any]]:
    files = backend.raw_sql(
        "SELECT path, status = 'quarantined', rows_rejected, reason FROM raw.files "
        "WHERE status = 'quarantined' OR (status = 'accepted' AND rows_rejected > 0) ORDER BY path"
    ).fetchall()
    rows: list[dict[str, Any]] = [
        {"kind": "quarantined file", "name": path, "reason": without_values(reason)}
        if is_quarantined
        else {"kind": "rejected rows", "name": path, "rows": rejected}
        for path, is_quarantined, rejected, reason in files
    ]
    holds = {batch: "; ".join(hold.plain for hold in found) for batch, found in find_holds(backend).items()}
    # What only a mart's own checks hold is known to the run that asked them.
    reasons = {batch: finding.why for batch, finding in run.held_findings.items()} | holds
    sites = _find_sites(backend, list(reasons))
    return rows + [
        {"kind": "held batch", "name": batch, "batch_id": batch, "site": sites.get(batch), "reason": reason}
        for batch, reason in reasons.items()
    ]


def _find_sites(backend: Any, batches: Sequence[str]) -> dict[str, str | None]:
    if not batches or relation_catalog.find(backend, "curated", "dim_batch") is None:
        return {}
    listed = ", ".join(map(literal, batches))
    return dict(
        backend.raw_sql(f"SELECT batch_id, site FROM curated.dim_batch WHERE batch_id IN ({listed})").fetchall()
    )
