"""Tables and views of the warehouse, each written in one transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview
from kedro_datasets.ibis import TableDataset

from bioreactor_lake.datasets import holdings, warehouse
from bioreactor_lake.datasets.preview import show_reason, show_rows
from bioreactor_lake.datasets.raw_check import confirm_raw_files
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.locality import why_not_local
from bioreactor_lake.lake.logic import hash_logic
from bioreactor_lake.lake.narrowing import narrow
from bioreactor_lake.lake.runs import WriteReport, current_run
from bioreactor_lake.sql import literal, quote

logger = logging.getLogger(__name__)

# Up to here a list of ids is faster than a join: DuckDB finds a few batches by its zone maps.
_LISTED = 100

_SPELLINGS = {"TEXT": "VARCHAR", "TEXT[]": "VARCHAR[]", "INT": "INTEGER", "TIMESTAMP(6)": "TIMESTAMP"}


class WarehouseDataset(TableDataset):  # type: ignore[misc]
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
    def connection(self) -> Any:
        """The process's connection to the warehouse."""
        return warehouse.connect(self._config)

    @property
    def qualified_name(self) -> str:
        """Schema and name, as people write it."""
        return f"{self._database}.{self._table_name}"

    def load(self) -> ir.Table:
        """The relation as a lazy table.

        Raises:
            LakeError: It was not built yet; the message names the pipeline that builds it.
        """
        if not self._exists():
            pipeline = (self.metadata or {}).get("pipeline", "__default__")
            raise LakeError(
                f"{self.qualified_name} is not there yet.", next_step=f"Build it with: kedro run --pipeline {pipeline}"
            )
        return self._table(self._table_name)

    def _table(self, name: str) -> ir.Table:
        """A relation by its schema in DuckDB's catalog; asking DuckDB to describe a view would open raw files."""
        backend = self.connection
        rows = backend.raw_sql(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() "
            f"AND schema_name = {literal(self._database)} AND table_name = {literal(name)} ORDER BY column_index"
        ).fetchall()
        schema = schema_of(backend, rows)
        namespace = ops.Namespace(database=self._database)
        return ops.DatabaseTable(name=name, schema=schema, source=backend, namespace=namespace).to_expr()

    def save(self, data: ir.Table) -> None:
        """Bring the relation up to date with an expression, in one transaction.

        Raises:
            LakeError: DuckDB could not; the relation is as it was.
        """
        started = time.perf_counter()
        backend = warehouse.connect(self._config, write=True)
        try:
            with warehouse.transaction(backend):
                backend.raw_sql(f"CREATE SCHEMA IF NOT EXISTS {quote(self._database)}")
                self._drop_other_kind(backend)
                written = self._write(backend, data)
        except duckdb.Error as error:
            raise LakeError(
                f"Writing {self.qualified_name} failed: {error}", kept="It is as it was.", next_step=_next_step(error)
            ) from error
        report = replace(written, seconds=time.perf_counter() - started)
        if (run := current_run()) is not None:
            run.writes.append(report)
        logger.info("Wrote %s", report)

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows, for Kedro-Viz, or why there are none; the file is let go at once, so that a run can begin."""
        in_use = current_run() is not None
        try:
            if not in_use:
                self._refuse_to_wait()
            table = self.load().limit(nrows).to_pyarrow()
        except (LakeError, DatasetError, duckdb.Error) as error:
            # Kedro wraps what its datasets raise.
            return show_reason(error.__cause__ if isinstance(error, DatasetError) and error.__cause__ else error)
        finally:
            if not in_use:
                warehouse.close(Path(self._config["filepath"]))
        return show_rows(table.column_names, (row.values() for row in table.to_pylist()))

    def _refuse_to_wait(self) -> None:
        """Kedro-Viz answers one request at a time: one that waited for a run would keep all others waiting."""
        path = Path(self._config["filepath"])
        if not path.exists():
            return
        try:
            duckdb.connect(path, read_only=True).close()
        except duckdb.Error as error:
            # Any other error is for `load` to explain.
            if "set lock on file" in str(error):
                raise LakeError("The warehouse is in use.", next_step="Look again when the run is done.") from error

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        raise NotImplementedError

    @property
    def _qualified(self) -> str:
        return f"{quote(self._database)}.{quote(self._table_name)}"

    def _drop_other_kind(self, backend: Any) -> None:
        found = backend.raw_sql(
            "SELECT table_type FROM information_schema.tables "
            f"WHERE table_schema = {literal(self._database)} AND table_name = {literal(self._table_name)}"
        ).fetchone()
        kind = None if found is None else ("view" if found[0] == "VIEW" else "table")
        if kind is not None and kind != self._kind:
            backend.raw_sql(f"DROP {kind.upper()} {self._qualified}")

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
            names = self.connection.list_tables(database=self._database)
        except LakeError as error:
            if error.exit_code != LakeError.exit_code:
                raise
            return False
        except Exception as error:
            # Ibis raises for a schema that does not exist.
            if "schema" in str(error).lower():
                return False
            raise
        return self._table_name in names


class ViewDataset(WarehouseDataset):
    """A DuckDB view: an expression that is computed whenever it is read, from any process and folder."""

    _kind = "view"
    _holding = "view"

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        holdings.ensure(backend)
        logic = hash_logic(data)
        known = holdings.logic_of(backend, self.qualified_name)
        if known == logic and self._exists() and not _full_refresh():
            return WriteReport(self.qualified_name, None, 0, batches=0)
        backend.raw_sql(f"CREATE OR REPLACE VIEW {self._qualified} AS {compile_typed(backend, data)}")
        self._comment(backend, data.columns)
        holdings.remember_relation(backend, self.qualified_name, self._holding, logic, data, _run_id())
        return WriteReport(self.qualified_name, None, 0)


class RawViewDataset(ViewDataset):
    """The view of the accepted raw files, from whose content every fingerprint starts."""

    _holding = "raw"

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        report = super()._write(backend, data)
        backend.raw_sql("DELETE FROM lake_state.raw_branches")
        backend.raw_sql(
            "INSERT INTO lake_state.raw_branches SELECT DISTINCT schema_id, split_part(rules_hash, '-', 1) "
            "FROM raw.files WHERE status = 'accepted'"
        )
        return report


class MaterialisedDataset(WarehouseDataset):
    """A DuckDB table of which a save writes the batches that are out of date.

    Args:
        order_by: Columns to sort by; batch first, so that DuckDB's zone maps find a batch without an index.
        indexes: Columns to index, one index each; for small tables only, since on large ones an index makes
            replacing a batch many times slower and finds it no faster.
        **relation: As for `WarehouseDataset`.
    """

    def __init__(self, *, order_by: Sequence[str], indexes: Sequence[str] = (), **relation: Any) -> None:
        super().__init__(**relation)
        self._order_by = list(order_by)
        self._indexes = list(indexes)

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        holdings.ensure(backend)
        logic = hash_logic(data)
        holdings.expect(backend, data, logic)
        changes = holdings.changes(backend, holdings.held_rows(self.qualified_name))
        reason = self._why_whole(backend, data, logic, changes)
        if reason is None and not changes:
            return WriteReport(self.qualified_name, 0, 0, batches=0)
        if reason is None:
            rows = self._write_batches(backend, data, changes)
            batches = len(changes.stale) + len(changes.gone)
        else:
            rows, batches = self._write_whole(backend, data), changes.total
        holdings.remember_relation(backend, self.qualified_name, "table", logic, data, _run_id())
        confirm_raw_files(backend, data, changes.stale if reason is None else None)
        return WriteReport(self.qualified_name, rows, 0, batches=batches, reason=reason or "")

    def plan(self, data: ir.Table, assume: Mapping[str, str]) -> tuple[holdings.Changes, str | None]:
        """What a save would write: the batches that differ, and why all would be written if so.

        Args:
            data: The expression.
            assume: What relations that are about to change will hold, see `holdings.expect`.
        """
        backend, logic = self.connection, hash_logic(data)
        holdings.expect(backend, data, logic, assume)
        changes = holdings.changes(backend, holdings.held_rows(self.qualified_name))
        return changes, self._why_whole(backend, data, logic, changes)

    def _why_whole(self, backend: Any, data: ir.Table, logic: str, changes: holdings.Changes) -> str | None:
        """Why all batches have to be written, or None."""
        if not self._exists():
            return "it was not built yet"
        if _full_refresh():
            return "a full refresh was asked for"
        if self._types(backend) != [(name, _type(backend, kind)) for name, kind in data.schema().items()]:
            return "its columns changed"
        (held,) = backend.raw_sql(
            f"SELECT coalesce(sum(rows), 0) FROM ({holdings.held_rows(self.qualified_name)})"
        ).fetchone()
        (found,) = backend.raw_sql(f"SELECT count(*) FROM {self._qualified}").fetchone()
        if held != found:
            return f"it holds {found:,} rows where the lake wrote {held:,}"
        if not changes:
            return None
        if holdings.logic_of(backend, self.qualified_name) != logic:
            return "its logic changed"
        if len(changes.stale) == changes.total:
            return "every batch changed"
        return why_not_local(data)

    def _write_whole(self, backend: Any, data: ir.Table) -> int:
        order = ", ".join(map(quote, self._order_by))
        query = compile_typed(backend, data)
        backend.raw_sql(f"CREATE OR REPLACE TABLE {self._qualified} AS {query} ORDER BY {order}")
        for column in self._indexes:
            name = quote(f"{self._table_name}_{column}")
            backend.raw_sql(f"CREATE INDEX {name} ON {self._qualified} ({quote(column)})")
        self._comment(backend, data.columns)
        holdings.remember_batches(backend, self.qualified_name, self._qualified, None)
        (rows,) = backend.raw_sql(f"SELECT count(*) FROM {self._qualified}").fetchone()
        return int(rows)

    def _write_batches(self, backend: Any, data: ir.Table, changes: holdings.Changes) -> int:
        touched = "temp.main.touched_batches"
        list_batches(backend, touched, [*changes.stale, *changes.gone])
        backend.raw_sql(f"DELETE FROM {self._qualified} WHERE batch_id IN (SELECT batch_id FROM {touched})")
        rows = 0
        if changes.stale:
            order = ", ".join(map(quote, self._order_by))
            query = compile_typed(backend, narrow_to(backend, data, changes.stale))
            (rows,) = backend.raw_sql(f"INSERT INTO {self._qualified} {query} ORDER BY {order}").fetchone()
        holdings.remember_batches(backend, self.qualified_name, self._qualified, touched)
        return int(rows)

    def _types(self, backend: Any) -> list[tuple[str, str]]:
        return [
            (name, kind)
            for name, kind in backend.raw_sql(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() "
                f"AND schema_name = {literal(self._database)} AND table_name = {literal(self._table_name)} "
                "ORDER BY column_index"
            ).fetchall()
        ]


def narrow_to(
    backend: Any, data: ir.Table, batches: Sequence[str], *, scratch: str = "temp.main.narrowed_batches"
) -> ir.Table:
    """A batch-local expression, computed for some batches, reading only the raw files that hold them.

    Args:
        backend: The warehouse.
        data: The expression.
        batches: The batch ids.
        scratch: Table for the ids where they are many; a temporary one is seen by this connection only.
    """
    files = holdings.raw_files_of(backend, batches)
    if len(batches) <= _LISTED:
        return narrow(data, batches, files)
    list_batches(backend, scratch, batches)
    *catalog, schema, name = scratch.split(".")
    return narrow(data, backend.table(name, database=(*catalog, schema) if catalog else schema), files)


def list_batches(backend: Any, table: str, batches: Sequence[str]) -> None:
    """Put batch ids into a table, a temporary one where it lies in `temp.main`."""
    ids = ", ".join(map(literal, batches))
    kind = "TEMP TABLE" if table.startswith("temp.main.") else "TABLE"
    name = table.removeprefix("temp.main.")
    backend.raw_sql(f"CREATE OR REPLACE {kind} {name} AS SELECT unnest([{ids}]::VARCHAR[]) AS batch_id")


def _next_step(error: duckdb.Error) -> str:
    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return (
            "Raise warehouse.memory_limit or lower warehouse.threads in conf/*/globals.yml, and make room on the disk."
        )
    if ".parquet" in text or "No files found" in text:
        return "A raw file changed or went away since it was looked at: kedro run --pipeline ingestion"
    return "Check the disk's space and the warehouse file, then run again."


def schema_of(backend: Any, columns: Sequence[tuple[str, str]]) -> ibis.Schema:
    """The schema of columns by their names and types as DuckDB's catalog spells them."""
    mapper = backend.compiler.type_mapper
    # The catalog puts quotes around the type of a Parquet column that has none.
    return ibis.schema({name: dt.null if kind == '"NULL"' else mapper.from_string(kind) for name, kind in columns})


def compile_typed(backend: Any, data: ir.Table) -> str:
    """SQL of an expression whose columns have the very types that Ibis says they have.

    DuckDB types some results more widely (a sum of integers is a HUGEINT), and Ibis leaves out a cast to the type
    that it believes a column already has.
    """
    columns = [
        f"CAST({quote(name)} AS {_type(backend, kind)}) AS {quote(name)}" for name, kind in data.schema().items()
    ]
    return f"SELECT {', '.join(columns)} FROM ({backend.compile(data)}) AS whole"


def _type(backend: Any, kind: Any) -> str:
    """DuckDB's own spelling of a type."""
    spelled: str = backend.compiler.type_mapper.to_string(kind)
    return _SPELLINGS.get(spelled, spelled)


def _full_refresh() -> bool:
    run = current_run()
    return run is not None and run.full_refresh


def _run_id() -> str | None:
    run = current_run()
    return None if run is None else run.run_id
