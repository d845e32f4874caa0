"""Marts: Postgres tables filled from expressions of the warehouse."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import psycopg
import pyarrow as pa
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from bioreactor_lake.datasets import holdings, warehouse
from bioreactor_lake.datasets.expressions import compile_typed, narrow_to
from bioreactor_lake.datasets.preview import show_reason, show_rows
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.locality import why_not_local
from bioreactor_lake.lake.logic import hash_logic
from bioreactor_lake.lake.runs import Run, WriteReport, current_run
from bioreactor_lake.postgres import holdings as state
from bioreactor_lake.postgres.database import Database, DatabaseConfig
from bioreactor_lake.postgres.publishing import (
    MartTable,
    count_rows,
    ensure_mart,
    lock,
    publish,
    publish_batches,
)

logger = logging.getLogger(__name__)

_BATCH_ROWS = 100_000
_TYPES = {dt.String: "text", dt.Int64: "bigint", dt.Float64: "double precision", dt.Boolean: "boolean"}


class MartDataset(AbstractDataset[ir.Table, ir.Table]):
    """A mart: a Postgres table that a save replaces under its readers.

    Args:
        table_name: Name of the mart.
        schema: Its schema in Postgres.
        warehouse: The DuckDB file whose expressions are published.
        postgres: The embedded server's folder and the retries.
        primary_key: Columns of the primary key, batch_id first; they also serve look-ups by batch.
        indexes: Further indexes, each a list of columns, for how dashboards filter.
        description: What one row is; the table's comment.
        columns: Descriptions by column name; the columns' comments.
        credentials: `url` of the database; empty for the embedded server.
        metadata: For Kedro-Viz and others.
    """

    def __init__(
        self,
        *,
        table_name: str,
        schema: str,
        warehouse: warehouse.WarehouseConfig,
        postgres: DatabaseConfig,
        primary_key: Sequence[str],
        description: str,
        indexes: Sequence[Sequence[str]] = (),
        columns: Mapping[str, str] | None = None,
        credentials: dict[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._table_name = table_name
        self._schema = schema
        self._config = warehouse
        self._postgres = postgres
        self._key = list(primary_key)
        self._indexes = [list(index) for index in indexes]
        self._description = description
        self._columns = dict(columns or {})
        self._url = (credentials or {}).get("url")
        self.metadata = metadata

    @property
    def database(self) -> Database:
        """The database that holds the mart."""
        return Database(self._postgres, self._url)

    @property
    def qualified_name(self) -> str:
        """Schema and name, as people write it."""
        return f"{self._schema}.{self._table_name}"

    def load(self) -> ir.Table:
        """The mart as a lazy table on Postgres.

        Raises:
            LakeError: It was not published yet.
        """
        if not self._exists():
            raise self._missing()
        connection = self.database.connect()
        # A reader that stayed in a transaction would hold up the next publish.
        connection.autocommit = True
        return ibis.postgres.from_connection(connection).table(self._table_name, database=self._schema)

    def save(self, data: ir.Table) -> None:
        """Publish the batches of an expression that the mart does not hold as they are now.

        Rows are streamed, counted, and become visible together with the record of what they are.

        Raises:
            LakeError: Postgres, the count or the owner of the database said no; the old mart is in place.
        """
        started = time.perf_counter()
        backend = warehouse.connect(self._config, write=True)
        logic = hash_logic(data)
        holdings.expect(backend, data, logic)
        report = self.database.attempt(
            lambda connection: self._publish(connection, backend, data, logic),
            what=f"Publishing {self.qualified_name}",
            kept="The warehouse is valid and the old mart is in place.",
        )
        report = replace(report, seconds=time.perf_counter() - started)
        if (run := current_run()) is not None:
            run.writes.append(report)
        logger.info("Published %s", report)

    def _publish(self, connection: psycopg.Connection[Any], backend: Any, data: ir.Table, logic: str) -> WriteReport:
        run, mart = current_run() or Run(), self._mart(data.schema())
        state.ensure(connection)
        lock(connection, mart)
        state.claim(connection, warehouse.identity(self._config), take_over=run.take_over)
        held = state.held(connection, self.qualified_name)
        self._bring_held(backend, held)
        changes = holdings.changes(backend, "SELECT batch_id, fingerprint FROM held_by_mart")
        reason = self._why_whole(connection, mart, data, logic, changes, sum(rows for *_, rows in held))
        if reason is None and not changes:
            return WriteReport(self.qualified_name, 0, 0, batches=0)
        touched = None if reason is not None else [*changes.stale, *changes.gone]
        if touched is None:
            timeout = self._postgres.get("swap_timeout_seconds", 5.0)
            rows = publish(connection, mart, self._reader(backend, data), swap_timeout_seconds=timeout)
        else:
            narrowed = narrow_to(backend, data, changes.stale, scratch="lake_state.publishing_batches")
            ensure_mart(connection, mart)
            rows = publish_batches(connection, mart, self._reader(backend, narrowed), touched)
        fingerprints = holdings.expected(backend, None if touched is None else changes.stale)
        state.remember(
            connection, self.qualified_name, mart.qualified, fingerprints, touched, logic=logic, run_id=run.run_id
        )
        batches = changes.total if touched is None else len(touched)
        return WriteReport(self.qualified_name, rows, 0, batches=batches, reason=reason or "")

    def plan(self, data: ir.Table, assume: Mapping[str, str]) -> tuple[holdings.Changes, str | None]:
        """What a save would publish: the batches that differ, and why all would be published if so.

        Args:
            data: The expression.
            assume: What relations that are about to change will hold, see `holdings.expect`.
        """
        backend, logic, mart = warehouse.connect(self._config), hash_logic(data), self._mart(data.schema())
        holdings.expect(backend, data, logic, assume)

        def look(connection: psycopg.Connection[Any]) -> tuple[holdings.Changes, str | None]:
            known = connection.execute("SELECT to_regclass('lake.held')").fetchone() != (None,)
            held = state.held(connection, self.qualified_name) if known else []
            self._bring_held(backend, held)
            changes = holdings.changes(backend, "SELECT batch_id, fingerprint FROM held_by_mart")
            reason = self._why_whole(connection, mart, data, logic, changes, sum(rows for *_, rows in held))
            return changes, reason if known else "it was not published yet"

        return self.database.attempt(look, what=f"Looking at {self.qualified_name}", kept="")

    def _why_whole(
        self,
        connection: psycopg.Connection[Any],
        mart: MartTable,
        data: ir.Table,
        logic: str,
        changes: holdings.Changes,
        held: int,
    ) -> str | None:
        """Why all batches have to be published, or None."""
        if (found := count_rows(connection, mart)) is None:
            return "it was not published yet"
        if (current_run() or Run()).full_refresh:
            return "a full refresh was asked for"
        if found != held:
            return f"it holds {found:,} rows where the lake published {held:,}"
        if not changes:
            return None
        if state.logic_of(connection, self.qualified_name) != logic:
            return "its logic changed"
        if len(changes.stale) == changes.total:
            return "every batch changed"
        return why_not_local(data)

    def _bring_held(self, backend: Any, held: state.Held) -> None:
        table = pa.table(
            {"batch_id": [row[0] for row in held], "fingerprint": [row[1] for row in held]},
            schema=pa.schema([("batch_id", pa.string()), ("fingerprint", pa.string())]),
        )
        backend.con.register("held_arrow", table)
        backend.raw_sql("CREATE OR REPLACE TEMP TABLE held_by_mart AS FROM held_arrow")
        backend.con.unregister("held_arrow")

    def _reader(self, backend: Any, data: ir.Table) -> Callable[[], pa.RecordBatchReader]:
        query = compile_typed(backend, data)
        # A stream ends early, without an error, when anything else uses its connection: it gets its own.
        return lambda: backend.con.cursor().execute(query).to_arrow_reader(_BATCH_ROWS)

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows, for Kedro-Viz, or why there are none."""
        name = self._mart({}).qualified

        def read(connection: psycopg.Connection[Any]) -> TablePreview:
            if connection.execute("SELECT to_regclass(%s)", [name]).fetchone() == (None,):
                raise self._missing()
            cursor = connection.execute(f"SELECT * FROM {name} LIMIT {int(nrows)}")
            return show_rows([column.name for column in cursor.description or ()], cursor.fetchall())

        try:
            # Kedro-Viz answers one request at a time: one that tried again would keep all others waiting.
            database = Database({**self._postgres, "attempts": 1}, self._url)
            return database.attempt(read, what="Connecting", kept="")
        except LakeError as error:
            return show_reason(error)

    def _missing(self) -> LakeError:
        return LakeError(
            f"{self.qualified_name} is not there yet.", next_step="Publish it with: kedro run --pipeline marts"
        )

    def _mart(self, schema: Mapping[str, dt.DataType]) -> MartTable:
        return MartTable(
            schema=self._schema,
            name=self._table_name,
            columns={name: _postgres_type(name, kind) for name, kind in schema.items()},
            key=self._key,
            indexes=self._indexes,
            description=self._description,
            descriptions=self._columns,
        )

    def _describe(self) -> dict[str, Any]:
        try:
            database = self.database.name
        except LakeError:
            database = "BIOREACTOR_LAKE_POSTGRES_URL, which cannot be read"
        return {"table": self.qualified_name, "database": database}

    def _exists(self) -> bool:
        with self.database.connect() as connection:
            found = connection.execute("SELECT to_regclass(%s)", [self._mart({}).qualified]).fetchone()
        return found != (None,)


def _postgres_type(name: str, kind: dt.DataType) -> str:
    """Times of the warehouse are UTC without a zone; in binary form they are those of a timestamptz."""
    if isinstance(kind, dt.Timestamp):
        return "timestamp with time zone"
    try:
        return _TYPES[type(kind)]
    except KeyError:
        raise LakeError(
            f"Column {name} has the type {kind}, which no mart holds.",
            kept="The old mart is in place.",
            next_step="Cast it to text, a whole number, a floating number, a boolean or a timestamp.",
        ) from None
