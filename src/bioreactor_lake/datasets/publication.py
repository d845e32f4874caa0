"""An expression of the warehouse on its way into a mart: which batches differ, and how they get there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import psycopg
import pyarrow as pa

from bioreactor_lake.datasets import holdings
from bioreactor_lake.datasets.expressions import compile_typed, narrow_to
from bioreactor_lake.lake.locality import why_not_local
from bioreactor_lake.lake.runs import Run, WriteReport
from bioreactor_lake.postgres import holdings as state
from bioreactor_lake.postgres.publishing import (
    MartTable,
    ensure_mart,
    lock,
    publish,
    publish_batches,
)
from bioreactor_lake.postgres.storage import count_rows, held_columns

_BATCH_ROWS = 100_000


@dataclass(frozen=True)
class Publication:
    """An expression and the mart that it is for.

    Args:
        backend: The warehouse, after `holdings.expect`.
        data: The expression.
        logic: Its logic.
        mart: The mart as it should be.
    """

    backend: Any
    data: ir.Table
    logic: str
    mart: MartTable

    @property
    def name(self) -> str:
        """Schema and name of the mart."""
        return f"{self.mart.schema}.{self.mart.name}"

    def carry_out(
        self, connection: psycopg.Connection[Any], run: Run, lake_id: str, *, swap_timeout_seconds: float
    ) -> WriteReport:
        """Publish the batches that differ in the connection's transaction, which the caller commits.

        Args:
            connection: To the database of the marts.
            run: What was asked for.
            lake_id: The lake that publishes.
            swap_timeout_seconds: How long to wait for readers before rows are moved instead of swapped.

        Raises:
            LakeError: The database belongs to another lake, or rows were lost on the way; nothing was published.
            psycopg.Error: As Postgres says; nothing was published.
        """
        state.ensure(connection)
        lock(connection, self.mart)
        state.claim(connection, lake_id, take_over=run.take_over)
        changes, reason = self.compare(connection, run)
        if reason is None and not changes:
            state.confirm_libraries(connection, self.name, self.logic)
            return WriteReport(self.name, 0, 0, batches=0)
        touched = None if reason is not None else [*changes.stale, *changes.gone]
        if touched is None:
            rows = publish(connection, self.mart, self._reader(self.data), swap_timeout_seconds=swap_timeout_seconds)
        else:
            if held_columns(connection, self.mart.qualified):
                ensure_mart(connection, self.mart)
            else:
                # The batches that the run names are its first ones.
                publish(connection, self.mart, self._reader(self.data.limit(0)), swap_timeout_seconds=0)
                state.forget(connection, self.name)
            narrowed = narrow_to(self.backend, self.data, changes.stale, scratch="lake_state.publishing_batches")
            rows = publish_batches(connection, self.mart, self._reader(narrowed), touched)
        fingerprints = holdings.expected(self.backend, None if touched is None else changes.stale)
        state.remember(
            connection, self.name, self.mart.qualified, fingerprints, touched, logic=self.logic, run_id=run.run_id
        )
        batches = changes.total if touched is None else len(touched)
        return WriteReport(self.name, rows, 0, batches=batches, reason=reason or "")

    def compare(
        self, connection: psycopg.Connection[Any], run: Run, *, count: bool = True
    ) -> tuple[holdings.Changes, str | None]:
        """The batches that a publish would write or delete, and why it would publish all, or None.

        Args:
            connection: To the database of the marts.
            run: What was asked for.
            count: Whether to count the rows of the mart, rather than to believe the state.
        """
        known = connection.execute("SELECT to_regclass('lake.held')").fetchone() != (None,)
        held = state.held(connection, self.name) if known else []
        changes = holdings.changes(self.backend, self._bring(held), run.batches)
        columns = held_columns(connection, self.mart.qualified)
        if not known or (not columns and not run.batches):
            return changes, "it was not published yet"
        if run.full_refresh:
            return changes, "a full refresh was asked for"
        if run.batches:
            if columns and columns != self.mart.columns:
                return changes, "its columns changed"
            return changes, why_not_local(self.data)
        published = sum(rows for *_, rows in held)
        if count and (found := count_rows(connection, self.mart.qualified)) != published:
            return changes, f"it holds {found:,} rows where the lake published {published:,}"
        if not changes:
            return changes, None
        if (reason := state.why_differs(connection, self.name, self.logic)) is not None:
            return changes, reason
        return changes, "every batch changed" if len(changes.stale) == changes.total else why_not_local(self.data)

    def _bring(self, held: state.Held) -> str:
        """Make what the mart holds known to the warehouse; a query for it."""
        table = pa.table(
            {"batch_id": [row[0] for row in held], "fingerprint": [row[1] for row in held]},
            schema=pa.schema([("batch_id", pa.string()), ("fingerprint", pa.string())]),
        )
        self.backend.con.register("held_arrow", table)
        self.backend.raw_sql("CREATE OR REPLACE TEMP TABLE held_by_mart AS FROM held_arrow")
        self.backend.con.unregister("held_arrow")
        return "SELECT batch_id, fingerprint FROM held_by_mart"

    def _reader(self, data: ir.Table) -> Callable[[], pa.RecordBatchReader]:
        query = compile_typed(self.backend, data)
        # A stream ends early, without an error, when anything else uses its connection: it gets its own.
        return lambda: self.backend.con.cursor().execute(query).to_arrow_reader(_BATCH_ROWS)
