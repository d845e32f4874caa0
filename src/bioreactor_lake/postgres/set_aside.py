"""`marts.mart_set_aside`: what is not in the marts now, and why, beside the marts, for dashboards.

Grain: one row per quarantined file, held batch, or file with rejected rows, as the last run that came here found it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg

from bioreactor_lake.postgres import recorded_tables
from bioreactor_lake.sql import quote

MART = "marts.mart_set_aside"
DESCRIPTION = "One row per quarantined file, held batch, or file with rejected rows, as of the last run"

COLUMNS: dict[str, tuple[str, str]] = {
    "kind": ("text", "quarantined file, held batch, or rejected rows"),
    "name": ("text", "The file, its path under the raw folder, or the batch"),
    "batch_id": ("text", "The batch that is held; null for files"),
    "site": ("text", "Site of the batch that is held; null for files"),
    "shown": ("text", "What the marts show of a held batch: its earlier version, or nothing; null for files"),
    "rows": ("bigint", "Rows that were rejected; null where a file or batch is set aside as a whole"),
    "reason": ("text", "Why, in a sentence without values; null for rejected rows, which have theirs in staging"),
    "since": ("timestamp with time zone", "When a run first told of it here, UTC"),
}
_GIVEN = ("kind", "name", "batch_id", "site", "rows", "reason")


def ensure(connection: psycopg.Connection[Any]) -> None:
    """Create the table if it is not there."""
    recorded_tables.limit_patience(connection)
    recorded_tables.ensure(connection, MART, COLUMNS, definition())


def definition() -> list[str]:
    """As of `recorded_tables.define`."""
    return recorded_tables.define(MART, COLUMNS, DESCRIPTION, key="kind, name")


def replace(connection: psycopg.Connection[Any], rows: Sequence[dict[str, Any]]) -> None:
    """Let the table say what is set aside now; what was there already keeps its time.

    Args:
        connection: The transaction, after `ensure`.
        rows: Values by column, without `since`, one per kind and name.
    """
    given, listed = json.dumps(rows), ", ".join(map(quote, _GIVEN))
    source = f"json_populate_recordset(NULL::{MART}, %s::json)"
    connection.execute(
        f"DELETE FROM {MART} AS m WHERE NOT EXISTS "
        f"(SELECT FROM {source} AS g WHERE (g.kind, g.name) = (m.kind, m.name))",
        [given],
    )
    published = "EXISTS (SELECT FROM lake.held AS h WHERE h.batch_id = g.batch_id AND h.rows > 0)"
    shown = f"CASE WHEN batch_id IS NULL THEN NULL WHEN {published} THEN 'its earlier version' ELSE 'nothing' END"
    changing = ("site", "shown", "rows", "reason")
    before, after = (", ".join(f"{side}.{quote(name)}" for name in changing) for side in ("m", "excluded"))
    connection.execute(
        f"INSERT INTO {MART} AS m ({listed}, shown, since) SELECT {listed}, {shown}, now() FROM {source} AS g "
        f"ON CONFLICT (kind, name) DO UPDATE SET ({', '.join(map(quote, changing))}) = ({after}) "
        f"WHERE ({before}) IS DISTINCT FROM ({after})",
        [given],
    )
