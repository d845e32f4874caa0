"""Tables that Spark computes: the batches that are out of date, as new Parquet files of the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets import holdings, relation_catalog, warehouse
from bioreactor_lake.datasets.expressions import list_batches
from bioreactor_lake.datasets.spark import files
from bioreactor_lake.datasets.spark import relations as spark_relations
from bioreactor_lake.datasets.spark.session import SparkConfig, connect, spark_errors, write_counted
from bioreactor_lake.datasets.spark.spelling import spell_for_spark
from bioreactor_lake.datasets.tables import MaterialisedDataset
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.compiled import FEW_BATCHES
from bioreactor_lake.lake.narrowing import narrow
from bioreactor_lake.lake.runs import WriteReport, new_run_id
from bioreactor_lake.sql import literal

_TOUCHED = "temp.main.touched_batches"


class SparkTableDataset(MaterialisedDataset):
    """A table whose rows Spark computes and writes as Parquet, and which DuckDB reads by a view.

    What is out of date is found as for `MaterialisedDataset`, and the state is in the same transaction as the list of
    the table's files, so everything that is built on the table, or asks about it, need not know.

    Args:
        spark: Where Spark is, and where the files go (`SparkConfig`).
        **table: As for `MaterialisedDataset`; files are sorted by `order_by`, and have no indexes.
    """

    _kind = "view"

    def __init__(self, *, spark: SparkConfig, **table: Any) -> None:
        super().__init__(**table)
        self._spark = spark

    @property
    def folder(self) -> Path:
        """The folder of its files, one folder in it for each write."""
        return Path(self._spark["path"]) / self.qualified_name

    @property
    def kind(self) -> str:
        """A table: the view over its files is how DuckDB reads it."""
        return "table"

    def find_files(self) -> tuple[str, int, int] | None:
        """The folder, number and bytes of the table's files."""
        return (str(self.folder), *files.size_of(self.connection, self.qualified_name))

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        files.ensure(backend)
        report = super()._write(backend, data)
        files.delete_unused(backend, self.qualified_name, self.folder)
        return report

    def _why_whole(self, backend: Any, data: ir.Table, logic: str, changes: holdings.Changes) -> str | None:
        # Before its rows are counted: a warehouse that was restored may have files that were deleted since.
        if self._exists() and (missing := files.find_missing(backend, self.qualified_name)):
            return f"{len(missing):,} of its files are gone, {missing[0]} among them"
        return super()._why_whole(backend, data, logic, changes)

    def _make(self, backend: Any, data: ir.Table) -> None:
        files.forget(backend, self.qualified_name)
        self._add(backend, data, None)
        self._define(backend, data)

    def _write_batches(self, backend: Any, data: ir.Table, changes: holdings.Changes) -> int:
        name, rows = self.qualified_name, 0
        list_batches(backend, _TOUCHED, [*changes.stale, *changes.gone])
        if self._exists():
            files.take_out(backend, name, _TOUCHED)
        else:
            # The batches that a run names are the first ones.
            files.forget(backend, name)
            holdings.forget_batches(backend, name)
        if changes.stale:
            rows = self._add(backend, data, changes.stale)
        self._put_together(backend, data)
        self._define(backend, data)
        holdings.remember_batches(backend, name, self._qualified, _TOUCHED)
        return rows

    def _add(self, backend: Any, data: ir.Table, batches: Sequence[str] | None) -> int:
        """Have rows computed, and take their files into the table.

        Returns:
            The rows.
        """
        spark, write_id = connect(self._spark), str(new_run_id())
        folder = self.folder / write_id
        root = warehouse.raw_store(self._config).root
        below = spark_relations.Relations(backend, spark, root, Path(self._spark["path"]) / "scratch", batches)
        named = batches if batches is None or len(batches) <= FEW_BATCHES else spark_relations.NAMED_BATCHES.to_expr()
        query = data if named is None else narrow(data, named)
        try:
            with spark_errors(f"Computing {self.qualified_name}", "The table is as it was."):
                below.define(query)
                # One file has all of a batch, sorted, so that what is read of a batch is one place of one file.
                rows = spark.sql(spell_for_spark(query)).repartition(self._order_by[0])
                computed = write_counted(rows.sortWithinPartitions(*self._order_by), str(folder), self._spark)
        finally:
            below.close()
        found = files.add(backend, self.qualified_name, write_id, files.list_written(folder))
        if computed not in (None, found):
            raise LakeError(
                f"Spark computed {computed:,} rows of {self.qualified_name}, and {found:,} are in {folder}.",
                kept="The table is as it was.",
                next_step="Give Spark's workers and this process one folder under one path: spark.path in "
                "conf/spark/globals.yml.",
            )
        return found

    def _put_together(self, backend: Any, data: ir.Table) -> None:
        """Write the rows of many small writes into one file."""
        name = self.qualified_name
        if not (writes := files.small_writes(backend, name)):
            return
        write_id = str(new_run_id())
        folder = self.folder / write_id
        folder.mkdir(parents=True)
        location = str(folder / "together.parquet")
        query = files.query(backend, name, data.schema(), writes)
        backend.raw_sql(f"COPY ({query} ORDER BY {self._order}) TO {literal(location)} (FORMAT parquet)")
        files.let_go(backend, name, writes)
        files.add(backend, name, write_id, [location])

    def _define(self, backend: Any, data: ir.Table) -> None:
        query = files.query(backend, self.qualified_name, data.schema())
        backend.raw_sql(f"CREATE OR REPLACE VIEW {self._qualified} AS {query}")
        relation_catalog.forget()
        self._comment(backend, data.columns)
