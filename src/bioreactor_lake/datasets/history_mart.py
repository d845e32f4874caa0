"""The history of runs on its way from the warehouse to `marts.mart_run_history`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bioreactor_lake.datasets import history, warehouse
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.history import NodeRun, RunRecord
from bioreactor_lake.lake.runs import Run
from bioreactor_lake.postgres import run_history
from bioreactor_lake.sql import literal

logger = logging.getLogger(__name__)

# Clocks are set back now and then; what is there already is passed over.
_LOOK_BACK = timedelta(days=1)
_AT_ONCE = 500


def find_published(run: Run) -> MartDataset | None:
    """A mart that a run has published, or found up to date; None where it did not come to Postgres."""
    written = {report.table for report in run.writes}
    if run.catalog is None or not any(name.startswith("marts.") for name in written):
        return None
    marts = (run.catalog[name] for name in run.catalog.filter(by_type=MartDataset))
    return next((mart for mart in marts if mart.qualified_name in written), None)


def publish_history(mart: MartDataset, record: RunRecord) -> None:
    """Add the runs that the database does not have yet, beside a mart that was just published.

    Nothing fails: what could not be added is so after the next publish.

    Args:
        mart: The mart; its database gets the history.
        record: The run that has published, which mostly is the one to add.
    """
    backend = warehouse.writable(mart.warehouse_config)
    if backend is None:
        return
    try:
        lake_id = warehouse.identity(mart.warehouse_config)
        mart.impatient_database.attempt(
            lambda connection: _add_missing(connection, backend, lake_id, record),
            what="Adding the history of runs",
            kept="",
        )
    except LakeError as error:
        logger.warning("The next run that publishes adds this one to %s: %s", run_history.MART, error.what)


def _add_missing(connection: psycopg.Connection[Any], backend: Any, lake_id: str, record: RunRecord) -> None:
    if not run_history.belongs_to(connection, lake_id):
        return
    run_history.ensure(connection)
    since, known = run_history.runs_of_late(connection, _LOOK_BACK)
    condition = (
        "" if since is None else f"WHERE recorded_at >= TIMESTAMP '{since.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
    )
    kept = backend.raw_sql(f"SELECT run_id, recorded_at FROM ops.runs {condition} ORDER BY run_id").fetchall()
    missing = {run: recorded_at.replace(tzinfo=UTC) for run, recorded_at in kept if run not in known}
    earlier = [run for run in missing if run != record.run_id]
    for start in range(0, len(earlier), _AT_ONCE):
        some = ", ".join(map(literal, earlier[start : start + _AT_ONCE]))
        records = history.read(backend, f"WHERE run_id IN ({some})")
        run_history.append(connection, (row for one in records for row in _rows(one, missing[one.run_id])))
    if record.run_id in missing:
        run_history.append(connection, _rows(record, missing[record.run_id]))


def _rows(record: RunRecord, recorded_at: datetime) -> Iterator[dict[str, Any]]:
    names = ("run_id", "status", "error", "asked", "rows", "batches", "bytes", "versions", "host", "started_by")
    run = {
        **{name: getattr(record, name) for name in names},
        "user_name": record.user,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "seconds": _seconds(record),
        "recorded_at": recorded_at,
    }
    for node in record.nodes:
        yield run | {
            "node": node.node,
            "pipeline": node.pipeline,
            "table_name": node.table,
            **{f"node_{name}": getattr(node, name) for name in ("status", "error", "rows", "batches", "bytes")},
            "node_started_at": node.started_at,
            "node_ended_at": node.ended_at,
            "node_seconds": _seconds(node),
            "node_reason": node.reason or None,
        }
    if not record.nodes:
        yield run | {"node": ""}


def _seconds(one: RunRecord | NodeRun) -> float | None:
    return None if one.ended_at is None else (one.ended_at - one.started_at).total_seconds()
