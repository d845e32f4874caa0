"""Marts: Postgres tables filled from expressions of the warehouse."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import psycopg
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.known_logic import logic_for
from bioreactor_lake.datasets.mart_changes import MartChanges
from bioreactor_lake.datasets.mart_types import postgres_type
from bioreactor_lake.datasets.preview import ColumnText, Described, show_reason, show_rows
from bioreactor_lake.datasets.publication import Publication
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.runs import Run, current_run
from bioreactor_lake.postgres.database import Database, DatabaseConfig
from bioreactor_lake.postgres.mart_tables import MartTable

logger = logging.getLogger(__name__)


class MartDataset(Described, AbstractDataset[ir.Table, ir.Table]):
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
    def warehouse_config(self) -> warehouse.WarehouseConfig:
        """Where the DuckDB file is whose expressions are published."""
        return self._config

    @property
    def database(self) -> Database:
        """The database that holds the mart."""
        return Database(self._postgres, self._url)

    @property
    def impatient_database(self) -> Database:
        """The same, tried once only, for those who are waited for."""
        return Database({**self._postgres, "attempts": 1}, self._url)

    @property
    def place(self) -> str:
        """The database's name for people, without secrets."""
        try:
            return self.database.name
        except LakeError:
            return "BIOREACTOR_LAKE_POSTGRES_URL, which cannot be read"

    @property
    def qualified_name(self) -> str:
        """Schema and name, as people write it."""
        return f"{self._schema}.{self._table_name}"

    def shape(self, data: ir.Table) -> MartTable:
        """The table of Postgres that holds an expression."""
        return self._mart(data.schema())

    def describe_columns(self, schema: ibis.Schema) -> list[ColumnText]:
        """The columns of a schema as the mart has them."""
        kinds = self._mart(schema).columns
        return [ColumnText(name, kind, self._columns.get(name, "")) for name, kind in kinds.items()]

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
        publication = self._publication(warehouse.connect(self._config, write=True), data)
        run = current_run() or Run()
        lake_id = warehouse.identity(self._config)
        timeout = self._postgres.get("swap_timeout_seconds", 5.0)
        report = self.database.attempt(
            lambda connection: publication.carry_out(connection, run, lake_id, swap_timeout_seconds=timeout),
            what=f"Publishing {self.qualified_name}",
            kept="The warehouse is valid and the old mart is in place.",
        )
        report = replace(report, seconds=run.seconds_since(started))
        run.writes.append(report)
        logger.info("Published %s", report, extra={"figures": report.figures})

    def plan(
        self, data: ir.Table, assume: Mapping[str, str], *, glance: bool = False
    ) -> tuple[MartChanges, str | None]:
        """What a save would publish: how the mart differs, and why all would be published if so.

        Args:
            data: The expression.
            assume: What relations that are about to change will hold, see `holdings.expect`.
            glance: Answer soon: try once to reach Postgres, and believe the row counts that the lake keeps.
        """
        publication = self._publication(warehouse.connect(self._config), data, assume)
        run = current_run() or Run()
        database = self.impatient_database if glance else self.database

        def look(connection: psycopg.Connection[Any]) -> tuple[MartChanges, str | None]:
            return publication.compare(connection, run, count=not glance)

        return database.attempt(look, what=f"Looking at {self.qualified_name}", kept="")

    def _publication(self, backend: Any, data: ir.Table, assume: Mapping[str, str] | None = None) -> Publication:
        logic = logic_for(backend, self.qualified_name, data)
        return Publication(backend, data, logic, self.shape(data), assume)

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
            return self.impatient_database.attempt(read, what="Connecting", kept="")
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
            columns={name: postgres_type(name, kind) for name, kind in schema.items()},
            key=self._key,
            indexes=self._indexes,
            description=self._description,
            descriptions=self._columns,
        )

    def _describe(self) -> dict[str, Any]:
        return {"table": self.qualified_name, "database": self.place}

    def _exists(self) -> bool:
        with self.database.connect() as connection:
            found = connection.execute("SELECT to_regclass(%s)", [self._mart({}).qualified]).fetchone()
        return found != (None,)
