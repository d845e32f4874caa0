"""Relations of the warehouse: read as lazy tables, written in one transaction, shown in Kedro-Viz."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview
from kedro_datasets.ibis import TableDataset

from bioreactor_lake.datasets import known_in_run, relation_catalog, warehouse
from bioreactor_lake.datasets.expressions import schema_of, spell_type
from bioreactor_lake.datasets.preview import ColumnText, Described, show_reason, show_rows
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.runs import Run, WriteReport, current_run, retry_rule
from bioreactor_lake.raw_store import httpfs
from bioreactor_lake.sql import literal, quote

logger = logging.getLogger(__name__)


class WarehouseDataset(Described, TableDataset):  # type: ignore[misc]
    """A relation of the warehouse, read as a lazy Ibis table.

    Args:
        table_name: Name of the table or view.
        database: Its schema in DuckDB.
        warehouse: Where the DuckDB file is and how it may use the machine (`WarehouseConfig`).
        description: What one row is; kept in the warehouse as the relation's comment.
        columns: Descriptions by column name, kept as column comments; names that the relation lacks are passed over.
        metadata: For Kedro-Viz and others; `layer` names the pipeline to run first when the relation is missing.
    """

    _kind = "table"

    def __init__(
        self,
        *,
        table_name: str,
        database: str,
        warehouse: warehouse.WarehouseConfig,
        description: str,
        columns: Mapping[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            table_name=table_name,
            database=database,
            connection={"backend": "duckdb", "database": warehouse["filepath"]},
            metadata=metadata,
        )
        self._config = warehouse
        self._description = description
        self._columns = dict(columns or {})

    @property
    def warehouse_config(self) -> warehouse.WarehouseConfig:
        """Where the DuckDB file is."""
        return self._config

    @property
    def connection(self) -> Any:
        """The process's connection to the warehouse."""
        return warehouse.connect(self._config)

    @property
    def qualified_name(self) -> str:
        """Schema and name, as people write it."""
        return f"{self._database}.{self._table_name}"

    @property
    def kind(self) -> str:
        """`table` or `view`."""
        return self._kind

    def describe_columns(self, schema: ibis.Schema) -> list[ColumnText]:
        """The columns of a schema as the relation has them."""
        return [ColumnText(name, spell_type(kind), self._columns.get(name, "")) for name, kind in schema.items()]

    def load(self) -> ir.Table:
        """The relation as a lazy table.

        Raises:
            LakeError: It was not built yet; the message names the pipeline that builds it.
        """
        columns = self._columns_of(self._table_name)
        if not columns:
            pipeline = (self.metadata or {}).get("pipeline", "__default__")
            raise LakeError(
                f"{self.qualified_name} is not there yet.",
                next_step=f"Build it with: kedro run --pipeline {pipeline} (or everything: kedro run)",
            )
        return self._table(self._table_name, columns)

    def _table(self, name: str, columns: Sequence[tuple[str, str]]) -> ir.Table:
        """A relation of the dataset's schema by its name and columns."""
        backend = self.connection
        namespace = ops.Namespace(database=self._database)
        return ops.DatabaseTable(name, schema_of(backend, columns), backend, namespace).to_expr()

    def _columns_of(self, name: str) -> relation_catalog.Columns:
        """Columns of a relation of the dataset's schema, none where it is not there."""
        return relation_catalog.columns_of(self.connection, self._database, name)

    def save(self, data: ir.Table) -> None:
        """Bring the relation up to date with an expression, in one transaction.

        Raises:
            LakeError: DuckDB could not; the relation is as it was.
        """
        started = time.perf_counter()
        backend, written = warehouse.connect(self._config, write=True), None
        try:
            written = retry_rule().carry_out(
                lambda: self._write_in_transaction(backend, data),
                what=f"Writing {self.qualified_name}",
                can_pass=httpfs.can_pass,
            )
        except duckdb.Error as error:
            raise LakeError(
                f"Writing {self.qualified_name} failed: {error}", kept="It is as it was.", next_step=_next_step(error)
            ) from error
        finally:
            if written is None:
                known_in_run.forget()
            elif written.reason or written.batches is None:
                relation_catalog.forget()
        run = current_run() or Run()
        report = replace(written, seconds=run.seconds_since(started))
        run.writes.append(report)
        logger.info("Wrote %s", report, extra={"figures": report.figures})

    def _write_in_transaction(self, backend: Any, data: ir.Table) -> WriteReport:
        run = current_run()
        told = len(run.notices) if run is not None else 0
        try:
            with warehouse.transaction(backend):
                backend.raw_sql(f"CREATE SCHEMA IF NOT EXISTS {quote(self._database)}")
                self._drop_other_kind(backend)
                return self._write(backend, data)
        except BaseException:
            # What was rolled back is no news, and is known to no later attempt.
            relation_catalog.forget()
            if run is not None:
                del run.notices[told:]
            raise

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows, for Kedro-Viz, or why there are none."""
        try:
            with warehouse.glance(self._config):
                table = self.load().limit(nrows).to_pyarrow()
        except (LakeError, DatasetError, duckdb.Error) as error:
            # Kedro wraps what its datasets raise.
            return show_reason(error.__cause__ if isinstance(error, DatasetError) and error.__cause__ else error)
        return show_rows(table.column_names, (row.values() for row in table.to_pylist()))

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        raise NotImplementedError

    @property
    def _qualified(self) -> str:
        return f"{quote(self._database)}.{quote(self._table_name)}"

    def _drop_other_kind(self, backend: Any) -> None:
        found = relation_catalog.find(backend, self._database, self._table_name)
        if found is not None and found.kind != self._kind:
            backend.raw_sql(f"DROP {found.kind.upper()} {self._qualified}")
            relation_catalog.forget()

    def _comment(self, backend: Any, columns: Sequence[str]) -> None:
        target = self._kind.upper()
        backend.raw_sql(f"COMMENT ON {target} {self._qualified} IS {literal(self._description)}")
        for name in columns:
            if name in self._columns:
                text = literal(self._columns[name])
                backend.raw_sql(f"COMMENT ON COLUMN {self._qualified}.{quote(name)} IS {text}")

    def _describe(self) -> dict[str, Any]:
        return {"table": self.qualified_name, "kind": self._kind, "filepath": self._config["filepath"]}

    def _exists(self) -> bool:
        try:
            return bool(self._columns_of(self._table_name))
        except LakeError as error:
            if error.exit_code != LakeError.exit_code:
                raise
            return False


def _next_step(error: duckdb.Error) -> str:
    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return (
            "Raise warehouse.memory_limit or lower warehouse.threads in conf/*/globals.yml, and make room on the disk."
        )
    if httpfs.is_about_the_network(error):
        return "Check the network and the object store, then run again."
    if ".parquet" in text or "No files found" in text:
        return "A raw file changed or went away since it was looked at: kedro run --pipeline ingestion"
    return "Check the disk's space and the warehouse file, then run again."
