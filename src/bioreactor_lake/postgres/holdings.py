"""What each mart holds of each batch, kept in Postgres in the transaction that writes its rows.

Schema `lake` also says which lake publishes into the database, so that two lakes never do so unknowingly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.libraries import library_versions, why_other_logic
from bioreactor_lake.lake.logic import WHOLE
from bioreactor_lake.postgres import memory
from bioreactor_lake.postgres.activity import Activity
from bioreactor_lake.sql import quote

STATE_SCHEMA = "lake"

Held = list[tuple[str, str]]
"""Batch and fingerprint."""


@dataclass(frozen=True)
class Summary:
    """What a mart holds, in short.

    Args:
        rows: Rows that the lake published.
        digest: Of batches and fingerprints; the same as `datasets.holdings.digest` makes of what is expected.
        activity: When they were last found to be there, see `activity`.
    """

    rows: int = 0
    digest: str | None = None
    activity: str | None = None


def is_there(connection: psycopg.Connection[Any]) -> bool:
    """Whether the tables of the state are there."""
    return connection.execute("SELECT to_regclass('lake.held')").fetchone() != (None,)


def ensure(connection: psycopg.Connection[Any]) -> None:
    """Create the tables of the state if they are not there, and what an earlier version did not have yet."""
    # ALTER TABLE waits for every reader even where it has nothing to do.
    if connection.execute(
        "SELECT count(*), to_regclass('lake.releases') IS NOT NULL FROM pg_attribute "
        "WHERE attrelid = to_regclass('lake.marts') AND attname IN ('libraries', 'activity') AND NOT attisdropped"
    ).fetchone() == (2, True):
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
    connection.execute("ALTER TABLE lake.marts ADD COLUMN IF NOT EXISTS libraries text")
    connection.execute("ALTER TABLE lake.marts ADD COLUMN IF NOT EXISTS activity text")
    for statement in memory.DEFINITION:
        connection.execute(statement)


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
    connection.execute("DELETE FROM lake.sources")


def summary(connection: psycopg.Connection[Any], mart: str) -> Summary:
    """Rows, a digest of the state, and the activity that the rows were last found right at."""
    found = connection.execute(
        "SELECT (SELECT coalesce(sum(rows), 0)::bigint FROM lake.held WHERE mart = %(mart)s), "
        '(SELECT md5(string_agg(batch_id || chr(31) || fingerprint, chr(30) ORDER BY batch_id COLLATE "C")) '
        # By way of JSON: a lake of an earlier version has no such column yet.
        "FROM lake.held WHERE mart = %(mart)s), "
        "(SELECT to_jsonb(m) ->> 'activity' FROM lake.marts AS m WHERE mart = %(mart)s)",
        {"mart": mart},
    ).fetchone()
    return Summary(*(found or (0, None, None)))


def remember_activity(connection: psycopg.Connection[Any], mart: str, activity: Activity | None) -> None:
    """Keep at which activity the rows of a mart were found right."""
    text = None if activity is None else str(activity)
    connection.execute(
        "UPDATE lake.marts SET activity = %s WHERE mart = %s AND activity IS DISTINCT FROM %s", [text, mart, text]
    )


def held(connection: psycopg.Connection[Any], mart: str) -> Held:
    """The state of a mart."""
    cursor = connection.execute("SELECT batch_id, fingerprint FROM lake.held WHERE mart = %s", [mart])
    return cursor.fetchall()


def held_of(connection: psycopg.Connection[Any], mart: str, batches: Sequence[str]) -> dict[str, str]:
    """The state of a mart for some batches: fingerprint by batch."""
    cursor = connection.execute(
        "SELECT batch_id, fingerprint FROM lake.held WHERE mart = %s AND batch_id = ANY(%s)", [mart, list(batches)]
    )
    return dict(cursor.fetchall())


def forget(connection: psycopg.Connection[Any], mart: str) -> None:
    """Drop the state of a mart that is made anew, in the transaction that makes it."""
    connection.execute("DELETE FROM lake.held WHERE mart = %s", [mart])


def why_differs(connection: psycopg.Connection[Any], mart: str, logic: str) -> str | None:
    """Why a logic is not the one that a mart was last published with, as far as that is known; None where it is."""
    # A database of an earlier version that was only read since does not have the column.
    found = connection.execute(
        "SELECT logic, to_jsonb(m) ->> 'libraries' FROM lake.marts AS m WHERE mart = %s", [mart]
    ).fetchone()
    known, libraries = found or (None, None)
    return None if known == logic else why_other_logic(libraries)


def confirm_libraries(connection: psycopg.Connection[Any], mart: str, logic: str) -> None:
    """Keep that today's libraries spell a logic as it was published, so that they are not named when it changes."""
    connection.execute(
        "UPDATE lake.marts SET libraries = %(now)s "
        "WHERE mart = %(mart)s AND logic = %(logic)s AND libraries IS DISTINCT FROM %(now)s",
        {"now": library_versions(), "mart": mart, "logic": logic},
    )


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
        "INSERT INTO lake.marts (mart, logic, run_id, published_at, libraries) VALUES (%s, %s, %s, now(), %s) "
        "ON CONFLICT (mart) DO UPDATE SET logic = excluded.logic, run_id = excluded.run_id, "
        "published_at = excluded.published_at, libraries = excluded.libraries",
        [mart, logic, run_id, library_versions()],
    )
