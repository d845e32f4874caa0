"""An expression of the warehouse on its way into a mart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from bioreactor_lake.datasets import holdings
from bioreactor_lake.datasets.expressions import compile_narrowed, compile_typed
from bioreactor_lake.datasets.gate import find_holds, without
from bioreactor_lake.datasets.mart_changes import MartExpression
from bioreactor_lake.datasets.reads import find_reads
from bioreactor_lake.datasets.recall import find_sources, recall
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.logic import WHOLE
from bioreactor_lake.lake.runs import Run, WriteReport
from bioreactor_lake.postgres import holdings as state
from bioreactor_lake.postgres.activity import look_after
from bioreactor_lake.postgres.mart_tables import ensure_mart
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


class Publication(MartExpression):
    """An expression on its way into its mart."""

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
                among = None if self.logic.startswith(WHOLE) else unasked
                self._checking(connection, run, among, compared.held)(self.mart.schema, self.mart.name)
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
