"""What the database of the marts remembers for a warehouse that is deleted and built again.

`lake.sources` has the raw files that the published batches are made of, `lake.releases` what people have released.
Neither can be found in the raw files as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

Source = tuple[str, str]
"""Batch and path of a raw file."""
Release = tuple[Any, ...]
"""A release by the columns of `RELEASE_COLUMNS`."""
DEFINITION = (
    "CREATE TABLE IF NOT EXISTS lake.sources (batch_id text, path text, PRIMARY KEY (path, batch_id))",
    "CREATE TABLE IF NOT EXISTS lake.releases (lake_id text, batch_id text, state text, held_for text NOT NULL, "
    "reason text NOT NULL, released_by text NOT NULL, released_at timestamptz NOT NULL, "
    "PRIMARY KEY (lake_id, batch_id, state))",
)
"""The tables, in schema `lake`, which is there."""
RELEASE_COLUMNS = ("batch_id", "state", "held_for", "reason", "released_by", "released_at")


def remember_sources(
    connection: psycopg.Connection[Any],
    sources: Iterable[Source],
    touched: Sequence[str] | None,
    kept: Sequence[str] = (),
) -> None:
    """Keep what published batches are made of, in the transaction that writes their rows.

    Args:
        connection: The transaction.
        sources: Of the batches that were written.
        touched: Batches that were written or deleted; None for all.
        kept: Batches that were left as they are.
    """
    if touched is None:
        connection.execute("DELETE FROM lake.sources WHERE batch_id <> ALL(%s)", [list(kept)])
    else:
        connection.execute("DELETE FROM lake.sources WHERE batch_id = ANY(%s)", [list(touched)])
    columns = [list(column) for column in zip(*sources, strict=True)] or [[], []]
    connection.execute(
        "INSERT INTO lake.sources SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING", columns
    )


def find_sources(connection: psycopg.Connection[Any], paths: Sequence[str]) -> list[Source]:
    """The published batches that were made of raw files at some paths."""
    return connection.execute(
        "SELECT batch_id, path FROM lake.sources WHERE path = ANY(%s) ORDER BY path, batch_id",
        [list(paths)],
    ).fetchall()


def find_releases(connection: psycopg.Connection[Any], lake_id: str) -> list[Release]:
    """All releases of a lake."""
    return connection.execute(
        f"SELECT {', '.join(RELEASE_COLUMNS)} FROM lake.releases WHERE lake_id = %s", [lake_id]
    ).fetchall()


def add_releases(connection: psycopg.Connection[Any], lake_id: str, releases: Iterable[Release]) -> None:
    """Keep releases of a lake; those that are known stay as they are."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO lake.releases VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [(lake_id, *release) for release in releases],
        )
