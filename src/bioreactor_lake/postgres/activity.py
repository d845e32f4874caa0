"""Whether anybody touched a mart since the lake wrote it, by the server's own counters instead of a count of its rows.

Postgres counts the rows that were ever inserted, updated and deleted in a table. What the lake does is known, so the
counters after it are known too, in the transaction that does it; where they are others later, somebody else was there,
or the counters were lost in a crash, and the rows have to be counted. A session reports what it did when it ends, or
after seconds at the latest.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Any

import psycopg

_SHARED, _OWN = "pg_stat_get_tuples", "pg_stat_get_xact_tuples"
# Earlier servers could lose what a session reported.
_FIRST_VERSION = 150_000


@dataclass(frozen=True)
class Activity:
    """What was ever done to the single partition of a mart.

    Args:
        relation: The partition.
        storage: Its file, another one after TRUNCATE.
        inserted: Rows inserted, also by transactions that were rolled back.
        updated: Rows updated.
        deleted: Rows deleted.
    """

    relation: int
    storage: int
    inserted: int
    updated: int
    deleted: int

    def __str__(self) -> str:
        return " ".join(map(str, astuple(self)))


def look(connection: psycopg.Connection[Any], qualified: str) -> Activity | None:
    """What others, and earlier transactions, did to a mart; None where that cannot be said.

    Look before the rows are counted: what is reported in between is then seen the next time.
    """
    return _read(connection, qualified, _SHARED)


def look_after(connection: psycopg.Connection[Any], qualified: str, before: Activity | None) -> Activity | None:
    """What the counters will be when this transaction, the first of its connection, is committed.

    Args:
        connection: The transaction that wrote.
        qualified: The mart, quoted.
        before: What `look` said before it did.
    """
    own = _read(connection, qualified, _OWN)
    if own is None:
        return None
    if before is None or before.relation != own.relation:
        # Nobody else can have seen a partition of this transaction.
        return own
    return replace(
        own,
        inserted=before.inserted + own.inserted,
        updated=before.updated + own.updated,
        deleted=before.deleted + own.deleted,
    )


def _read(connection: psycopg.Connection[Any], qualified: str, counter: str) -> Activity | None:
    if connection.info.server_version < _FIRST_VERSION:
        return None
    rows = connection.execute(
        f"SELECT c.oid::bigint, c.relfilenode::bigint, {counter}_inserted(c.oid), {counter}_updated(c.oid), "
        f"{counter}_deleted(c.oid) FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid "
        "WHERE inhparent = to_regclass(%s) AND current_setting('track_counts')::boolean",
        [qualified],
    ).fetchall()
    return Activity(*rows[0]) if len(rows) == 1 else None
