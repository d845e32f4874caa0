"""The results of checks on their way from the warehouse to `marts.mart_data_quality`."""

from __future__ import annotations

import logging
from datetime import UTC, timedelta
from typing import Any

import psycopg

from bioreactor_lake.datasets import verdicts, warehouse
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.quality_results import (
    Result,
    find_failures_now,
    find_suites_now,
    read_results,
)
from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres import data_quality
from bioreactor_lake.sql import literal

logger = logging.getLogger(__name__)

# Clocks are set back now and then; what is there already is passed over.
_LOOK_BACK = timedelta(days=1)
_AT_ONCE = 2_000


def publish_results(mart: MartDataset) -> None:
    """Add the results that the database does not have yet, and let be current in it what is so now.

    Nothing fails: what could not be added is so by the next run that comes there.

    Args:
        mart: A mart; its database gets them.
    """
    backend = warehouse.writable(mart.warehouse_config)
    if backend is None or not verdicts.is_there(backend):
        return
    try:
        lake_id = warehouse.identity(mart.warehouse_config)
        mart.impatient_database.attempt(
            lambda connection: _add_missing(connection, backend, lake_id), what="Adding the results of checks", kept=""
        )
    except LakeError as error:
        logger.warning(
            "The next run that publishes adds the results of checks to %s: %s", data_quality.MART, error.what
        )


def _add_missing(connection: psycopg.Connection[Any], backend: Any, lake_id: str) -> None:
    data_quality.ensure(connection, lake_id)
    published = data_quality.find_published(connection, _LOOK_BACK)
    condition = ""
    if published.since is not None:
        condition = f"WHERE checked_at >= TIMESTAMP '{published.since.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
    kept = backend.raw_sql(f"SELECT run_id, min(checked_at) FROM quality.results {condition} GROUP BY ALL ORDER BY 2")
    missing = [run for run, _ in kept.fetchall() if run not in published.runs]
    for run in missing:
        rows = [_row(one) for one in read_results(backend, f"WHERE run_id = {literal(run)}")]
        for start in range(0, len(rows), _AT_ONCE):
            data_quality.append(connection, rows[start : start + _AT_ONCE])
    if missing:
        published = data_quality.find_published(connection, _LOOK_BACK)
    asked = find_suites_now(backend)
    if not published.suites <= set(asked.items()):
        data_quality.keep_suites(connection, asked.items())
    failing = find_failures_now(backend)
    # All of these are there, so that as many are the same ones.
    if published.failures != len(failing):
        data_quality.keep_failures(connection, failing)


def _row(result: Result) -> dict[str, Any]:
    row = dict(vars(result))
    row["table_name"], row["batch_id"], row["samples"] = row.pop("table"), row.pop("batch"), result.samples or None
    return row
