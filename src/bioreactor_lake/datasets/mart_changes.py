"""What a mart holds, beside what it should hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir
import psycopg

from bioreactor_lake.datasets import holdings
from bioreactor_lake.datasets.behind import find_behind
from bioreactor_lake.datasets.gate import Hold, settle_holds
from bioreactor_lake.datasets.json_rows import query_rows
from bioreactor_lake.lake.incidents import Finding
from bioreactor_lake.lake.locality import why_not_local
from bioreactor_lake.lake.runs import NOT_PUBLISHED, OTHER_COLUMNS, Run
from bioreactor_lake.postgres import holdings as state
from bioreactor_lake.postgres.activity import Activity, look
from bioreactor_lake.postgres.mart_tables import MartTable
from bioreactor_lake.postgres.storage import count_rows, held_columns

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


@dataclass(frozen=True)
class MartExpression:
    """An expression of the warehouse and the mart that it is for.

    Args:
        backend: The warehouse.
        data: The expression.
        logic: Its logic.
        mart: The mart as it should be.
        assume: What relations that are about to change will hold, see `holdings.expect`.
    """

    backend: Any
    data: ir.Table
    logic: str
    mart: MartTable
    assume: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """Schema and name of the mart."""
        return f"{self.mart.schema}.{self.mart.name}"

    def compare(
        self, connection: psycopg.Connection[Any], run: Run, *, count: bool = True
    ) -> tuple[MartChanges, str | None]:
        """How the mart differs from what it should hold, and why a publish would write all of it, or None.

        Args:
            connection: To the database of the marts.
            run: What was asked for.
            count: Whether to count the rows of the mart, rather than to believe the state.
        """
        columns = held_columns(connection, self.mart.qualified)
        is_there = state.is_there(connection) and bool(columns)
        behind: dict[str, tuple[Hold, ...]] = {}
        while True:
            held = self._hold_back(connection, run, behind, is_there=is_there)
            changes, reason = self._compare(connection, run, columns if is_there else None, held, count=count)
            every = [batch for batch, _ in holdings.expected(self.backend, None)] if reason is not None else ()
            touched = [*(every or changes.batches.stale), *changes.batches.gone]
            if run.checkpoints is None or not touched:
                return changes, reason
            more = find_behind(self.backend, self.data, touched)
            if more.keys() <= set(held):
                return changes, reason
            behind |= more

    def _compare(
        self,
        connection: psycopg.Connection[Any],
        run: Run,
        columns: dict[str, str] | None,
        held: tuple[str, ...],
        *,
        count: bool,
    ) -> tuple[MartChanges, str | None]:
        named = tuple(batch for batch in run.batches if batch not in held)
        if run.batches and not named:
            return MartChanges(holdings.no_changes(self.backend), 0, 0, None, held), None
        if columns is None:
            changes = MartChanges(differences(self.backend, [], named), 0, 0, None, held)
            return changes, why_not_local(self.data) if named else NOT_PUBLISHED
        changes = replace(
            compare(connection, self.backend, self.name, self.mart.qualified, named=named, count=count and not named),
            held=held,
        )
        return changes, self._why_whole(connection, run, columns, changes)

    def _hold_back(
        self,
        connection: psycopg.Connection[Any],
        run: Run,
        behind: Mapping[str, tuple[Hold, ...]],
        *,
        is_there: bool,
    ) -> tuple[str, ...]:
        """Leave held batches as they are, and tell the run of them."""

        def published(held: Sequence[str]) -> dict[str, str]:
            return state.held_of(connection, self.name, held) if is_there else {}

        # From what the upstreams hold: a publish may be made again.
        holds = settle_holds(
            self.backend,
            self.name,
            self.data,
            self.logic,
            published=published,
            assume=self.assume,
            besides=behind,
        )
        for batch, found in holds.items():
            run.held[batch] = tuple(hold.reason for hold in found)
            run.held_findings[batch] = Finding(
                batch, "; ".join(hold.plain for hold in found), in_full="; ".join(run.held[batch])
            )
        return tuple(holds)

    def _why_whole(
        self, connection: psycopg.Connection[Any], run: Run, columns: dict[str, str], changes: MartChanges
    ) -> str | None:
        if run.full_refresh:
            return "a full refresh was asked for"
        if run.batches:
            return OTHER_COLUMNS if columns != self.mart.columns else why_not_local(self.data)
        if changes.found != changes.published:
            return f"it holds {changes.found:,} rows where the lake published {changes.published:,}"
        if not changes.batches:
            return None
        if (reason := state.why_differs(connection, self.name, self.logic)) is not None:
            return reason
        return (
            "every batch changed" if len(changes.batches.stale) == changes.batches.total else why_not_local(self.data)
        )
