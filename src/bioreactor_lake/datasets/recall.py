"""What a warehouse that was deleted and built again cannot know, given back by the database of the marts.

The raw files say everything but two things: which batches were in a file that cannot be read now, and what people
have released. Both are kept in Postgres with the marts that they are about, and a publish gives
them to a warehouse that lacks them before it asks which batches are held.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC
from typing import Any

import psycopg

from bioreactor_lake.datasets import relation_catalog
from bioreactor_lake.datasets.gate import FILES_READ, RELEASES
from bioreactor_lake.datasets.json_rows import query_rows
from bioreactor_lake.postgres import memory
from bioreactor_lake.sql import literal

_RELEASE = dict.fromkeys(memory.RELEASE_COLUMNS, "VARCHAR") | {"released_at": "TIMESTAMP"}
_FILE = {"path": "VARCHAR", "batch_ids": "VARCHAR[]"}


def recall(backend: Any, connection: psycopg.Connection[Any], lake_id: str) -> None:
    """Give the warehouse what it lacks, and the database the releases that it lacks.

    Args:
        backend: The warehouse, which can be written to.
        connection: To the database of the marts, after `holdings.ensure`.
        lake_id: The lake.
    """
    if relation_catalog.find(backend, "lake_state", "files_read") is not None:
        _recall_files(backend, connection)
    share_releases(backend, connection, lake_id)


def share_releases(backend: Any, connection: psycopg.Connection[Any], lake_id: str) -> None:
    """Let the warehouse and the database have the same releases; arguments as for `recall`."""
    ours, theirs = find_releases(backend), memory.find_releases(connection, lake_id)
    missing_here, missing_there = _without(theirs, ours), _without(ours, theirs)
    if missing_here:
        ensure_releases(backend)
        rows = (dict(zip(_RELEASE, (*said, at.astimezone(UTC).replace(tzinfo=None)), strict=True))
                for *said, at in missing_here)  # fmt: skip
        backend.raw_sql(f"INSERT INTO {RELEASES} {query_rows(rows, _RELEASE)}")
    if missing_there:
        releases = [(*said, at.replace(tzinfo=UTC)) for *said, at in missing_there]
        memory.add_releases(connection, lake_id, releases)


def find_releases(backend: Any) -> list[memory.Release]:
    """All releases that a warehouse knows."""
    if relation_catalog.find(backend, "quality", "releases") is None:
        return []
    rows: list[memory.Release] = backend.raw_sql(f"SELECT {', '.join(_RELEASE)} FROM {RELEASES}").fetchall()
    return rows


def ensure_releases(backend: Any) -> None:
    """Create the table of releases if it is not there."""
    columns = ", ".join(f"{name} {kind}" for name, kind in _RELEASE.items())
    backend.raw_sql("CREATE SCHEMA IF NOT EXISTS quality")
    backend.raw_sql(f"CREATE TABLE IF NOT EXISTS {RELEASES} ({columns})")
    relation_catalog.forget()


def find_sources(backend: Any, batches: Collection[str] | None, held: Collection[str]) -> list[memory.Source]:
    """The accepted raw files that batches are made of.

    Args:
        backend: The warehouse.
        batches: The batches; None for all.
        held: Batches that are left out.
    """
    rows = backend.raw_sql(
        "SELECT DISTINCT unnest(batch_ids), path FROM raw.files WHERE status = 'accepted'"
        + ("" if batches is None else f" AND list_has_any(batch_ids, [{', '.join(map(literal, batches))}]::VARCHAR[])")
    ).fetchall()
    return [row for row in rows if row[0] not in held and (batches is None or row[0] in batches)]


def _recall_files(backend: Any, connection: psycopg.Connection[Any]) -> None:
    """Find the batches of files that this warehouse has never read among those that were published."""
    unknown = backend.raw_sql(
        f"SELECT path FROM raw.files ANTI JOIN {FILES_READ} USING (path) WHERE status = 'quarantined'"
    ).fetchall()
    if not unknown:
        return
    found: dict[str, list[str]] = {}
    for batch, path in memory.find_sources(connection, [path for (path,) in unknown]):
        found.setdefault(path, []).append(batch)
    if found:
        rows = ({"path": path, "batch_ids": batches} for path, batches in found.items())
        backend.raw_sql(f"INSERT INTO {FILES_READ} {query_rows(rows, _FILE)}")


def _without(releases: list[memory.Release], others: list[memory.Release]) -> list[memory.Release]:
    known = {(batch, state) for batch, state, *_ in others}
    return [release for release in releases if release[:2] not in known]
