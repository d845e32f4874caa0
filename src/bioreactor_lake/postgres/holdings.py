"""What each mart holds of each batch, kept in Postgres in the transaction that writes its rows.

Schema `lake` also says which lake publishes into the database, so that two lakes never do so unknowingly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.logic import WHOLE
from bioreactor_lake.sql import quote

STATE_SCHEMA = "lake"

Held = list[tuple[str, str, int]]
"""Batch, fingerprint and rows."""


def ensure(connection: psycopg.Connection[Any]) -> None:
    """Create the tables of the state if they are not there."""
    if connection.execute("SELECT to_regclass('lake.held')").fetchone() != (None,):
        return
    # Two first publishes at once would trip over each other's CREATE.
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('bioreactor_lake'))")
    connection.execute("CREATE SCHEMA IF NOT EXISTS lake")
    connection.execute("CREATE TABLE IF NOT EXISTS lake.identity (lake_id text NOT NULL, since timestamptz NOT NULL)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS lake.marts (mart text PRIMARY KEY, logic text NOT NULL, run_id text, "
        "published_at timestamptz NOT NULL)"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS lake.held (mart text, batch_id text, fingerprint text NOT NULL, "
        "rows bigint NOT NULL, PRIMARY KEY (mart, batch_id))"
    )


def claim(connection: psycopg.Connection[Any], lake_id: str, *, take_over: bool) -> None:
    """Make sure that this lake is the one that publishes into the database.

    Raises:
        LakeError: Another lake does, and taking over was not asked for.
    """
    found = connection.execute("SELECT lake_id, since FROM lake.identity").fetchone()
    if found is not None and found[0] == lake_id:
        return
    if found is not None and not take_over:
        raise LakeError(
            f"The marts of this database belong to another lake ({found[0]}, since {found[1]:%Y-%m-%d %H:%M} UTC).",
            kept="Its marts are as they were.",
            next_step="Set BIOREACTOR_LAKE_POSTGRES_URL to a database of this lake's own, or replace that lake's "
            "marts by this one's: kedro run --pipeline marts --params take_over=true",
        )
    connection.execute("DELETE FROM lake.identity")
    connection.execute("INSERT INTO lake.identity VALUES (%s, now())", [lake_id])
    connection.execute("DELETE FROM lake.held")


def held(connection: psycopg.Connection[Any], mart: str) -> Held:
    """The state of a mart."""
    cursor = connection.execute("SELECT batch_id, fingerprint, rows FROM lake.held WHERE mart = %s", [mart])
    return cursor.fetchall()


def logic_of(connection: psycopg.Connection[Any], mart: str) -> str | None:
    """The logic that a mart was last published with."""
    found = connection.execute("SELECT logic FROM lake.marts WHERE mart = %s", [mart]).fetchone()
    return None if found is None else str(found[0])


def remember(
    connection: psycopg.Connection[Any],
    mart: str,
    table: str,
    fingerprints: Sequence[tuple[str, str]],
    touched: Sequence[str] | None,
    *,
    logic: str,
    run_id: str | None,
) -> None:
    """Keep what was published, in its transaction.

    Args:
        connection: The transaction.
        mart: The mart.
        table: The same, quoted.
        fingerprints: Batch and fingerprint of what was written.
        touched: Batches that were written or deleted; None for all.
        logic: The logic that was published.
        run_id: The run.
    """
    if touched is None:
        connection.execute("DELETE FROM lake.held WHERE mart = %s", [mart])
    else:
        connection.execute("DELETE FROM lake.held WHERE mart = %s AND batch_id = ANY(%s)", [mart, list(touched)])
    batches = [batch for batch, _ in fingerprints]
    among = "" if touched is None else f"WHERE {quote('batch_id')} = ANY(%(batches)s)"
    join = "FULL" if logic.startswith(WHOLE) else "LEFT"
    connection.execute(
        # One whose batches change with one another has one fingerprint, also for batches that no upstream has.
        "INSERT INTO lake.held SELECT %(mart)s, b, coalesce(f, (%(fingerprints)s::text[])[1]), coalesce(n, 0) "
        "FROM unnest(%(batches)s::text[], %(fingerprints)s::text[]) AS given (b, f) "
        f"{join} JOIN (SELECT batch_id AS b, count(*) AS n FROM {table} {among} GROUP BY batch_id) AS found USING (b)",
        {"mart": mart, "batches": batches, "fingerprints": [fingerprint for _, fingerprint in fingerprints]},
    )
    connection.execute(
        "INSERT INTO lake.marts VALUES (%s, %s, %s, now()) ON CONFLICT (mart) DO UPDATE "
        "SET logic = excluded.logic, run_id = excluded.run_id, published_at = excluded.published_at",
        [mart, logic, run_id],
    )
