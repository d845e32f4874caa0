"""`marts.mart_data_quality`: what was found of the suites' expectations, beside the marts, for dashboards.

Grain: one row per run and expectation that it asked, without a batch, and one for each batch that failed it. Rows are
only ever added. `is_current` is what is so now: of an expectation the newest row, of a batch the newest failure as long
as it lasts. An expectation may have passed for the batches that it was last asked of while others still fail it:
`fails_now` is what to count.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from bioreactor_lake.postgres import holdings, recorded_tables
from bioreactor_lake.sql import quote

MART = "marts.mart_data_quality"
DESCRIPTION = "One row per run and expectation, and one per batch that failed it; is_current is what is so now"

_FAILS_NOW = "is_current AND verdict <> 'passed' AND (batch_id IS NOT NULL OR batches = 0)"
COLUMNS: dict[str, tuple[str, str]] = {
    "run_id": ("text", "The run that asked, a UUIDv7, which sorts by start"),
    "checked_at": ("timestamp with time zone", "When it asked"),
    "suite": ("text", "Suite"),
    "table_name": ("text", "Schema and name of the table or mart that was asked"),
    "expectation": ("text", "What the suite calls the expectation"),
    "batch_id": ("text", "Batch that failed; null in the row of the whole expectation"),
    "type": ("text", "Type of the expectation, in the words of Great Expectations"),
    "arguments": ("jsonb", "What it was asked with"),
    "severity": ("text", "What a failure means: warn is said, error holds the batch, fatal stops"),
    "verdict": ("text", "passed, failed, or unanswered where it could not be found out"),
    "sentence": ("text", "What failed, in one sentence without values; null where nothing did"),
    "observed": ("jsonb", "What was found: of rows the share that fails, else the value or values"),
    "rows": ("bigint", "Rows that were looked at; null where it counts none"),
    "failing_rows": ("bigint", "Rows that fail; null where it is not about rows"),
    "samples": ("jsonb", "A few of the rows that fail; null where none do"),
    "batches": ("bigint", "Batches that were asked about, 0 where it is about the table; null in the row of a batch"),
    "failing_batches": ("bigint", "Batches of them that failed; null in the row of a batch"),
    "suite_version": ("text", "Changes with what the suite expects"),
    "is_current": ("boolean", "Whether it is so now: the newest row of an expectation, a failure that lasts"),
    "fails_now": (
        f"boolean GENERATED ALWAYS AS ({_FAILS_NOW}) STORED",
        "Whether a batch, or a table as a whole, fails it now",
    ),
}
_KEPT_BY_POSTGRES = ("is_current", "fails_now")
# Postgres before 15 takes two nulls for different.
_ABOUT = "table_name, expectation, coalesce(batch_id, '')"
_SAME = (
    "{0}.table_name = {1}.table_name AND {0}.expectation = {1}.expectation "
    "AND coalesce({0}.batch_id, '') = coalesce({1}.batch_id, '')"
)


@dataclass(frozen=True)
class Published:
    """What the table has.

    Args:
        since: Since when a run may be missing; None for ever.
        runs: The runs that it has from then on.
        failures: How many failures of batches it has as current.
        suites: Table and version of the suites whose expectations it has as current.
    """

    since: datetime | None
    runs: frozenset[str]
    failures: int
    suites: frozenset[tuple[str, str]]


def ensure(connection: psycopg.Connection[Any], lake_id: str) -> None:
    """Create the table if it is not there; what a lake has put there whose marts were taken over is deleted.

    Args:
        connection: The transaction.
        lake_id: The lake that publishes.

    Raises:
        LakeError: The database belongs to another lake; nothing was changed.
    """
    recorded_tables.limit_patience(connection)
    holdings.ensure(connection)
    holdings.claim(connection, lake_id, take_over=False)
    recorded_tables.ensure(connection, MART, COLUMNS, definition())
    filled_by = connection.execute("SELECT logic FROM lake.marts WHERE mart = %s", [MART]).fetchone()
    if filled_by != (lake_id,):
        connection.execute(f"DELETE FROM {MART}")
        connection.execute(
            "INSERT INTO lake.marts (mart, logic, published_at) VALUES (%s, %s, now()) "
            "ON CONFLICT (mart) DO UPDATE SET logic = excluded.logic",
            [MART, lake_id],
        )


def find_published(connection: psycopg.Connection[Any], look_back: timedelta) -> Published:
    """What the table has.

    Args:
        connection: The transaction, after `ensure`.
        look_back: How long before the newest run one may be missing, or before now where that is earlier.
    """
    whole = "batch_id IS NULL"
    since, runs, failures, suites = connection.execute(
        # Clocks are set back now and then. Of an empty table since is null: all may be missing.
        f"WITH newest AS (SELECT least(max(checked_at), now()) - %s AS since FROM {MART} "
        f"WHERE {whole} HAVING count(*) > 0) "
        f"SELECT (SELECT since FROM newest), "
        f"(SELECT array_agg(DISTINCT run_id) FROM {MART} WHERE {whole} AND checked_at >= (SELECT since FROM newest)), "
        f"(SELECT count(*) FROM {MART} WHERE is_current AND NOT {whole}), "
        f"(SELECT json_agg(DISTINCT jsonb_build_array(table_name, suite_version)) FROM {MART} "
        f"WHERE is_current AND {whole})",
        [look_back],
    ).fetchone() or (None, None, 0, None)
    return Published(since, frozenset(runs or ()), failures, frozenset(map(tuple, suites or ())))


def append(connection: psycopg.Connection[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Add the rows of a run; they are current as far as no newer ones are there, and older ones are no more.

    Args:
        connection: The transaction, after `ensure`.
        rows: Values by column, at most one per key; those that a row lacks are null in it.
    """
    names = [name for name in COLUMNS if name not in _KEPT_BY_POSTGRES]
    listed, same = ", ".join(map(quote, names)), _SAME.format
    connection.execute(
        f"WITH added AS (INSERT INTO {MART} ({listed}, is_current) SELECT {listed}, NOT EXISTS (SELECT FROM {MART} "
        f"AS other WHERE other.is_current AND {same('given', 'other')} AND other.checked_at > given.checked_at) "
        f"FROM json_populate_recordset(NULL::{MART}, %s::json) AS given ON CONFLICT DO NOTHING RETURNING *) "
        f"UPDATE {MART} AS other SET is_current = false FROM added "
        f"WHERE added.is_current AND other.is_current AND {same('added', 'other')}",
        [json.dumps(list(rows), default=datetime.isoformat)],
    )


def keep_suites(connection: psycopg.Connection[Any], suites: Iterable[tuple[str, str]]) -> None:
    """Let be current only what is asked for by some suites: by table and version."""
    connection.execute(
        f"UPDATE {MART} SET is_current = false WHERE is_current AND batch_id IS NULL AND NOT EXISTS (SELECT FROM "
        "json_to_recordset(%s::json) AS s (t text, v text) WHERE t = table_name AND v = suite_version)",
        [json.dumps([{"t": table, "v": version} for table, version in suites])],
    )


def keep_failures(connection: psycopg.Connection[Any], failing: Collection[tuple[str, str, str]]) -> None:
    """Let be current the newest failures of some batches, given by table, expectation and batch, and no others."""
    connection.execute(
        "WITH failing AS MATERIALIZED (SELECT * FROM json_to_recordset(%s::json) "
        "AS f (table_name text, expectation text, batch_id text)), "
        "newest AS (SELECT DISTINCT ON (m.table_name, m.expectation, m.batch_id) m.run_id, m.table_name, "
        f"m.expectation, m.batch_id FROM {MART} AS m JOIN failing USING (table_name, expectation, batch_id) "
        "ORDER BY m.table_name, m.expectation, m.batch_id, m.checked_at DESC, m.run_id DESC) "
        f"UPDATE {MART} AS m SET is_current = NOT is_current WHERE batch_id IS NOT NULL AND is_current <> EXISTS "
        "(SELECT FROM newest AS n WHERE (n.run_id, n.table_name, n.expectation, n.batch_id) = "
        "(m.run_id, m.table_name, m.expectation, m.batch_id))",
        [json.dumps([{"table_name": table, "expectation": one, "batch_id": batch} for table, one, batch in failing])],
    )


def definition() -> list[str]:
    """As of `recorded_tables.define`."""
    name = MART.rpartition(".")[2]
    indexes = (
        ("UNIQUE INDEX", f"key ON {MART} (run_id, {_ABOUT})", ""),
        ("INDEX", f"checked_at ON {MART} (checked_at)", " WHERE batch_id IS NULL"),
        ("INDEX", f"current ON {MART} ({_ABOUT})", " WHERE is_current"),
        ("INDEX", f"batch_id ON {MART} (batch_id)", " WHERE batch_id IS NOT NULL"),
    )
    created = [f"CREATE {kind} IF NOT EXISTS {name}_{columns}{condition}" for kind, columns, condition in indexes]
    return recorded_tables.define(MART, COLUMNS, DESCRIPTION, indexes=created)
