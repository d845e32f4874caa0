"""`marts.mart_run_history`: the history of runs beside the marts, for dashboards. Rows are only ever added.

Grain: one row per run and node that began. What is true of the run (`started_at` to `started_by`) stands on each row of
it, so that a dashboard needs no join; count runs by `count(DISTINCT run_id)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg

from bioreactor_lake.postgres import recorded_tables
from bioreactor_lake.sql import quote

MART = "marts.mart_run_history"
DESCRIPTION = "One row per run and node; what is true of the run is on each of its rows"

COLUMNS: dict[str, tuple[str, str]] = {
    "run_id": ("text", "The run, a UUIDv7, which sorts by start"),
    "started_at": ("timestamp with time zone", "Start of the run"),
    "ended_at": ("timestamp with time zone", "End of the run; of a killed one when it was last heard of"),
    "seconds": ("double precision", "How long the run took"),
    "status": ("text", "How the run ended: completed, held, nothing_to_do, failed, interrupted or killed"),
    "error": ("text", "What ended the run, in one sentence; null where nothing did"),
    "asked": ("jsonb", "What was asked for: pipelines, nodes, tags, batches, parameters, environment"),
    "rows": ("bigint", "Rows that the run wrote into tables and marts"),
    "batches": ("bigint", "Batches of the table or mart of which the run wrote or deleted most"),
    "bytes": ("bigint", "Size of the raw files that the run read, counted for each node that did"),
    "versions": ("jsonb", "Versions of the project, its commit, Python and libraries"),
    "host": ("text", "Machine"),
    "user_name": ("text", "Account"),
    "started_by": ("text", "The scheduler's task, or the account where none is known"),
    "node": ("text", "Node; empty where the run ended before its first"),
    "pipeline": ("text", "The pipeline that the node belongs to"),
    "table_name": ("text", "What the node writes"),
    "node_started_at": ("timestamp with time zone", "When the node's first input was loaded"),
    "node_ended_at": ("timestamp with time zone", "When the node's last output was saved, or it failed"),
    "node_seconds": ("double precision", "How long the node took"),
    "node_status": ("text", "How the node ended, as of a run"),
    "node_rows": ("bigint", "Rows that the node wrote; null for a view"),
    "node_batches": ("bigint", "Batches that the node wrote or deleted; null where its table knows none"),
    "node_bytes": ("bigint", "Size of the raw files that the node read; null where it reads none"),
    "node_reason": ("text", "Why the node wrote its table as a whole; null where it did not"),
    "node_error": ("text", "What ended the node, in one sentence; null where nothing did"),
    "recorded_at": ("timestamp with time zone", "When the warehouse had the run"),
}


def belongs_to(connection: psycopg.Connection[Any], lake_id: str) -> bool:
    """Whether a lake is the one that publishes into the database."""
    return connection.execute("SELECT lake_id FROM lake.identity").fetchone() == (lake_id,)


def ensure(connection: psycopg.Connection[Any]) -> None:
    """Create the table if it is not there, and the columns that an earlier version did not have yet."""
    recorded_tables.limit_patience(connection)
    recorded_tables.ensure(connection, MART, COLUMNS, definition())


def definition() -> list[str]:
    """As of `recorded_tables.define`."""
    indexes = [
        f"CREATE INDEX IF NOT EXISTS mart_run_history_{column} ON {MART} ({column})"
        for column in ("started_at", "recorded_at")
    ]
    return recorded_tables.define(MART, COLUMNS, DESCRIPTION, key="run_id, node", indexes=indexes)


def runs_of_late(connection: psycopg.Connection[Any], look_back: timedelta) -> tuple[datetime | None, set[str]]:
    """Since when a run may be missing, and the runs that the table has from then on.

    Args:
        connection: The transaction.
        look_back: How long before the newest run, or before now where that is earlier.
    """
    rows = connection.execute(
        # Of an empty table since is null: all may be missing.
        "WITH late AS (SELECT CASE WHEN max(recorded_at) < now() THEN max(recorded_at) "
        f"WHEN max(recorded_at) IS NOT NULL THEN now() END - %s AS since FROM {MART}) "
        f"SELECT since, run_id FROM late LEFT JOIN {MART} ON recorded_at >= since GROUP BY since, run_id",
        [look_back],
    ).fetchall()
    return rows[0][0], {run for _, run in rows if run is not None}


def append(connection: psycopg.Connection[Any], rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows that are not there yet.

    Args:
        connection: The transaction.
        rows: Values by column; those that a row lacks are null in it.
    """
    names = ", ".join(map(quote, COLUMNS))
    connection.execute(
        f"INSERT INTO {MART} ({names}) SELECT {names} FROM json_populate_recordset(NULL::{MART}, %s::json) "
        "ON CONFLICT DO NOTHING",
        [json.dumps(list(rows), default=datetime.isoformat)],
    )
