"""An expression of the warehouse on its way into a mart: which batches differ, and how they get there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir
import psycopg

from bioreactor_lake.datasets import holdings
from bioreactor_lake.datasets.behind import find_behind
from bioreactor_lake.datasets.expressions import compile_narrowed, compile_typed
from bioreactor_lake.datasets.gate import Hold, find_holds, settle_holds, without
from bioreactor_lake.datasets.mart_changes import MartChanges, compare, differences
from bioreactor_lake.datasets.reads import find_reads
from bioreactor_lake.datasets.recall import find_sources, recall
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.incidents import Finding
from bioreactor_lake.lake.locality import why_not_local
from bioreactor_lake.lake.runs import NOT_PUBLISHED, OTHER_COLUMNS, Run, WriteReport
from bioreactor_lake.postgres import holdings as state
from bioreactor_lake.postgres.activity import look_after
from bioreactor_lake.postgres.mart_tables import MartTable, ensure_mart
from bioreactor_lake.postgres.memory import remember_sources
from bioreactor_lake.postgres.publishing import lock, publish, publish_batches
from bioreactor_lake.postgres.storage import held_columns

logger = logging.getLogger(__name__)

_BATCH_ROWS = 100_000
_FEW_BATCHES = 10


class _BatchesFail(Exception):  # noqa: N818 - an answer, not a fault
    """Batches that must not be published as they are."""

    def __init__(self, batches: Sequence[str]) -> None:
        super().__init__(batches)
        self.batches = batches


@dataclass(frozen=True)
class Publication:
    """An expression and the mart that it is for.

    Args:
        backend: The warehouse, after `holdings.expect`.
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
        recall(self.backend, connection, lake_id)
        failed: set[str] = set()
        while True:
            try:
                with connection.transaction():
                    return self._carry_out(connection, run, swap_timeout_seconds)
            except _BatchesFail as error:
                if failed.issuperset(error.batches):
                    raise LakeError(
                        f"{', '.join(error.batches)} fail the suite of {self.name} and cannot be left out of it.",
                        kept="The old mart is in place.",
                        next_step="Look at it with kedro lake check; mend the data or the node of the mart.",
                    ) from error
                failed.update(error.batches)
                logger.warning("%s: publishing again without %s", self.name, ", ".join(error.batches))

    def _carry_out(self, connection: psycopg.Connection[Any], run: Run, swap_timeout_seconds: float) -> WriteReport:
        compared, reason = self.compare(connection, run)
        changes = compared.batches
        unasked = self._find_unasked(run, compared.held)
        if reason is None and not changes:
            if unasked:
                self._checking(connection, run, unasked, compared.held)(self.mart.schema, self.mart.name)
            state.confirm_libraries(connection, self.name, self.logic)
            state.remember_activity(connection, self.name, compared.activity)
            return WriteReport(self.name, 0, 0, batches=0)
        touched = None if reason is not None else [*changes.stale, *changes.gone]
        if touched is None:
            read = self._reader(compile_typed(self.backend, without(self.data, compared.held)))
            rows = publish(
                connection,
                self.mart,
                read,
                swap_timeout_seconds=swap_timeout_seconds,
                keep=compared.held,
                check=self._checking(connection, run, None, compared.held),
            )
        else:
            if held_columns(connection, self.mart.qualified):
                ensure_mart(connection, self.mart)
            else:
                # The batches that the run names are its first ones.
                nothing = self._reader(compile_typed(self.backend, self.data.limit(0)))
                publish(connection, self.mart, nothing, swap_timeout_seconds=0)
                state.forget(connection, self.name)
            scratch = "lake_state.publishing_batches"
            query = compile_narrowed(self.backend, self.data, changes.stale, scratch=scratch)
            few = len(changes.stale) <= _FEW_BATCHES
            rows = publish_batches(connection, self.mart, self._reader(query, few=few), touched)
            if asked := sorted({*changes.stale, *unasked}):
                self._checking(connection, run, asked, compared.held)(self.mart.schema, self.mart.name)
        fingerprints = holdings.expected(self.backend, None if touched is None else changes.stale)
        # Where all batches have one fingerprint, the first is taken for it.
        fingerprints.sort(key=lambda row: row[0] in compared.held)
        state.remember(
            connection, self.name, self.mart.qualified, fingerprints, touched, logic=self.logic, run_id=run.run_id
        )
        sources = find_sources(self.backend, touched, compared.held)
        remember_sources(connection, sources, touched, compared.held)
        after = look_after(connection, self.mart.qualified, compared.activity)
        state.remember_activity(connection, self.name, after)
        batches = changes.total if touched is None else len(touched)
        reads = find_reads(self.backend, self.data, None if touched is None else changes.stale)
        return WriteReport(self.name, rows, 0, batches=batches, reason=reason or "", reads=reads)

    def _checking(
        self, connection: psycopg.Connection[Any], run: Run, batches: Sequence[str] | None, held: Sequence[str]
    ) -> Callable[[str, str], None]:
        """What checks rows before anybody can see them.

        Its error undoes the publish; those that fail are held from then on, so that it is made again without them.
        """

        def check(schema: str, table: str) -> None:
            if run.checkpoints is None:
                return
            failing = run.checkpoints.check_published(
                self.name, self.backend, connection, without(self.data, held), (schema, table), batches, held, run
            )
            # A released one fails and is published.
            if failing and (again := sorted(find_holds(self.backend, self.name).keys() & set(failing))):
                raise _BatchesFail(again)

        return check

    def _find_unasked(self, run: Run, held: Sequence[str]) -> list[str]:
        """Batches that were published when nobody asked, or when other things were asked."""
        if run.checkpoints is None or run.batches:
            return []
        unasked: list[str] = run.checkpoints.find_unasked(self.name, self.backend, held)
        return unasked

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
            stale = (
                changes.batches.stale
                if reason is None
                else [batch for batch, _ in holdings.expected(self.backend, None)]
            )
            touched = [*stale, *changes.batches.gone]
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

    def _reader(self, query: str, *, few: bool = False) -> Callable[[], Any]:
        def read() -> Any:
            # A stream ends early, without an error, when anything else uses its connection: it gets its own.
            cursor = self.backend.con.cursor()
            if not few:
                return cursor.execute(query).to_arrow_reader(_BATCH_ROWS)
            # To import pyarrow takes 40 MB, and longer than to publish a batch. Without it DuckDB gives a million rows
            # at a time, so it stays where they are many.
            from arro3.core import RecordBatchReader

            return RecordBatchReader.from_stream(cursor.sql(query))

        return read
