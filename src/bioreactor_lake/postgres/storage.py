"""What a mart is in Postgres, as its catalog, the state that the lake keeps, and a count say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg


@dataclass(frozen=True)
class MartStorage:
    """What is known of a mart without reading it.

    Args:
        size_bytes: Rows, indexes and what is stored beside them.
        compression: How Postgres compresses long values, or `none` where no value is long enough.
        rows: As the lake published them.
        run_id: The run that last published.
        published_at: When, UTC.
    """

    size_bytes: int
    compression: str
    rows: int
    run_id: str | None
    published_at: datetime | None


def find_mart_storage(connection: psycopg.Connection[Any], mart: str, table: str) -> MartStorage | None:
    """The storage of a mart, or None if it is not there.

    Args:
        connection: To the database of the marts.
        mart: The mart as the state names it.
        table: The same, quoted.
    """
    there, known = connection.execute("SELECT to_regclass(%s), to_regclass('lake.held')", [table]).fetchone() or (
        None,
        None,
    )
    if there is None:
        return None
    # The rows of a mart are in its partitions; long values, and compressed ones, beside them.
    size, compression = connection.execute(
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint, "
        "CASE WHEN coalesce(sum(pg_relation_size(nullif(c.reltoastrelid, 0))), 0) = 0 THEN 'none' "
        "ELSE current_setting('default_toast_compression') END "
        "FROM pg_partition_tree(to_regclass(%s)) AS p JOIN pg_class AS c ON c.oid = p.relid",
        [table],
    ).fetchone() or (0, "none")
    if known is None:
        return MartStorage(size, compression, 0, None, None)
    (rows,) = connection.execute(
        "SELECT coalesce(sum(rows), 0)::bigint FROM lake.held WHERE mart = %s", [mart]
    ).fetchone() or (0,)
    run_id, published_at = connection.execute(
        "SELECT run_id, published_at FROM lake.marts WHERE mart = %s", [mart]
    ).fetchone() or (None, None)
    return MartStorage(size, compression, rows, run_id, published_at)


def held_columns(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    """Postgres type by column of a mart, given its quoted name; empty if it is not there."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        [table],
    ).fetchall()
    return dict(rows)


def count_rows(connection: psycopg.Connection[Any], table: str) -> int:
    """Rows of a mart that is there, given its quoted name; it is read for this."""
    (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
    return int(rows)
