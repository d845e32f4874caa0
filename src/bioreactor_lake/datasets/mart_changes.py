"""What a mart holds, beside what it should hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bioreactor_lake.datasets import holdings
from bioreactor_lake.datasets.json_rows import query_rows
from bioreactor_lake.postgres import holdings as state
from bioreactor_lake.postgres.activity import Activity, look
from bioreactor_lake.postgres.storage import count_rows

_KINDS = {"batch_id": "VARCHAR", "fingerprint": "VARCHAR"}


@dataclass(frozen=True)
class MartChanges:
    """How a mart differs from what it should hold.

    Args:
        batches: The batches that differ.
        found: Rows that are in it.
        published: Rows that the lake put into it.
        activity: What was ever done to it.
        held: Batches that are left as they are, see `gate`.
    """

    batches: holdings.Changes
    found: int
    published: int
    activity: Activity | None
    held: tuple[str, ...] = ()


def compare(
    connection: psycopg.Connection[Any],
    backend: Any,
    name: str,
    qualified: str,
    *,
    named: Sequence[str] = (),
    count: bool = True,
) -> MartChanges:
    """Compare a mart that is there with the expected fingerprints. Rows are counted if somebody may have touched them.

    Args:
        connection: To the database of the marts.
        backend: The warehouse, after `holdings.expect`.
        name: The mart.
        qualified: The same, quoted.
        named: Batches to write whether or not they differ, and no others; empty for those that differ.
        count: Whether rows are counted at all, rather than believed to be those that were published.
    """
    activity = look(connection, qualified)
    summary = state.summary(connection, name)
    if not named and summary.digest == holdings.digest(backend):
        batches = holdings.no_changes(backend)
    else:
        batches = differences(backend, state.held(connection, name), named)
    untouched = activity is not None and str(activity) == summary.activity and activity.inserted >= summary.rows
    found = summary.rows if untouched or not count else count_rows(connection, qualified)
    return MartChanges(batches, found, summary.rows, activity)


def differences(backend: Any, held: state.Held, named: Sequence[str]) -> holdings.Changes:
    """Compare what a mart holds with the expected fingerprints; arguments as for `compare`."""
    query = query_rows(({"batch_id": batch, "fingerprint": fingerprint} for batch, fingerprint in held), _KINDS)
    backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE held_by_mart AS {query}")
    return holdings.changes(backend, "SELECT batch_id, fingerprint FROM held_by_mart", named)
