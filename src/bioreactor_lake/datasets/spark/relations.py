"""What an expression reads, as temporary views of Spark: raw files, views over them, Parquet files of tables."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any
from uuid import uuid4

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.expr.schema import Schema

from bioreactor_lake.datasets import holdings
from bioreactor_lake.datasets.parquet_rows import PARTITION, list_paths
from bioreactor_lake.datasets.parquet_views import PARQUET_VIEW
from bioreactor_lake.datasets.spark.spelling import quote, spell_text, spell_type, view_of
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.logic import leaves, name_leaf
from bioreactor_lake.sql import literal

_VIEWS = "lake_state.spark_views"
_RAW = f"raw.{PARQUET_VIEW}"
# Spark has the path of a row's file as a URL.
_PATH = "substr(regexp_replace(url_decode(replace(_metadata.file_path, '+', '%2B')), '^file:/+', '/'), {start})"
NAMED_BATCHES = ops.UnboundTable(
    name="named_batches", schema=Schema({"batch_id": dt.string}), namespace=ops.Namespace(database="spark")
)
"""A table of the batches that a statement is about, which `Relations.name_batches` fills."""


def ensure(backend: Any) -> None:
    """Create the table of the views if it is not there."""
    backend.raw_sql("CREATE SCHEMA IF NOT EXISTS lake_state")
    backend.raw_sql(
        f"CREATE TABLE IF NOT EXISTS {_VIEWS} (name VARCHAR, logic VARCHAR, query VARCHAR, reads STRUCT(name VARCHAR, "
        "columns STRUCT(name VARCHAR, kind VARCHAR)[])[])"
    )


def knows_view(backend: Any, name: str, logic: str) -> bool:
    """Whether Spark's SQL of a view is kept for its logic."""
    return bool(
        backend.raw_sql(f"SELECT 1 FROM {_VIEWS} WHERE name = {literal(name)} AND logic = {literal(logic)}").fetchone()
    )


def remember_view(backend: Any, name: str, logic: str, query: str, data: ir.Table) -> None:
    """Keep Spark's SQL of a view, with what it reads; part of the transaction that writes the view."""
    reads = ", ".join(
        f"{{'name': {literal(name_leaf(leaf))}, 'columns': ["
        + ", ".join(
            f"{{'name': {literal(column)}, 'kind': {literal(str(kind))}}}" for column, kind in leaf.schema.items()
        )
        + "]}"
        for leaf in leaves(data)
    )
    backend.raw_sql(f"DELETE FROM {_VIEWS} WHERE name = {literal(name)}")
    backend.raw_sql(f"INSERT INTO {_VIEWS} VALUES ({literal(name)}, {literal(logic)}, {literal(query)}, [{reads}])")


class Relations:
    """The relations below one expression, as Spark sees them for the length of a save.

    Args:
        backend: The warehouse.
        spark: The session.
        root: The raw folder.
        scratch: A folder that Spark's workers and this process see, for what is copied out of the warehouse.
        batches: The batches that the expression is computed for; None for all.
    """

    def __init__(self, backend: Any, spark: Any, root: str, scratch: Path, batches: Sequence[str] | None) -> None:
        self._backend, self._spark, self._root, self._batches = backend, spark, root, batches
        self._scratch = scratch / uuid4().hex
        self._known: set[str] = set()

    def define(self, data: ir.Table) -> None:
        """Define a view for everything that an expression reads.

        Raises:
            LakeError: A view of the lake was not written for Spark yet.
        """
        for leaf in leaves(data):
            if name_leaf(leaf) == name_leaf(NAMED_BATCHES):
                self._copy(name_leaf(leaf), self._query_of_batches())
            else:
                self._define(name_leaf(leaf), leaf.schema)

    def close(self) -> None:
        """Delete what was copied."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _define(self, name: str, schema: Schema) -> None:
        if name in self._known:
            return
        self._known.add(name)
        kind = (holdings.relation_of(self._backend, name) or ("",))[0]
        if name.startswith(_RAW):
            self._read_raw_files(name, schema)
        elif kind in ("raw", "view"):
            self._define_view(name)
        else:
            among = ""
            if self._batches is not None and "batch_id" in schema:
                among = f" WHERE batch_id IN (SELECT batch_id FROM ({self._query_of_batches()}))"
            self._copy(name, f"SELECT * FROM {name}{among}")

    def _define_view(self, name: str) -> None:
        found = self._backend.raw_sql(f"SELECT query, reads FROM {_VIEWS} WHERE name = {literal(name)}").fetchone()
        if found is None:
            raise LakeError(
                f"{name} was not written for Spark yet.",
                kept="Nothing was written.",
                next_step="Write it first: kedro run --env spark (or --pipeline ingestion, then --pipeline staging)",
            )
        query, reads = found
        for read in reads:
            self._define(read["name"], Schema({column["name"]: dt.dtype(column["kind"]) for column in read["columns"]}))
        self._spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW {quote(view_of(name))} AS {query}")

    def _read_raw_files(self, name: str, schema: Schema) -> None:
        schema_id = name.removeprefix(_RAW)
        among = ""
        if self._batches is not None:
            among = f" AND list_has_any(batch_ids, (SELECT list(batch_id) FROM ({self._query_of_batches()})))"
        paths = [
            path
            for (path,) in self._backend.raw_sql(
                f"SELECT path FROM raw.files WHERE status = 'accepted' AND schema_id = {literal(schema_id)}{among} "
                "ORDER BY path"
            ).fetchall()
        ]
        if not paths:
            columns = ", ".join(
                f"CAST(NULL AS {spell_type(kind)}) AS {quote(column)}" for column, kind in schema.items()
            )
            self._spark.sql(f"SELECT {columns} WHERE false").createOrReplaceTempView(view_of(name))
            return
        groups = [self._read_alike(alike, schema) for alike in self._files_alike(paths)]
        reduce(lambda one, other: one.union(other), groups).createOrReplaceTempView(view_of(name))

    def _files_alike(self, paths: Sequence[str]) -> list[list[str]]:
        """Files of one schema, apart where their columns are stored otherwise.

        DuckDB sees one type where a moment is in micro- or nanoseconds, or in the twelve bytes of old; Spark reads all
        files of a list as it reads the first.
        """
        listed = list_paths(self._root, paths)
        rows = self._backend.raw_sql(
            "SELECT list(file_name ORDER BY file_name) FROM (SELECT file_name, list((name, type, logical_type, "
            f"converted_type) ORDER BY name) AS stored FROM parquet_schema({listed}) GROUP BY file_name) "
            "GROUP BY stored"
        ).fetchall()
        return [locations for (locations,) in rows]

    def _read_alike(self, locations: Sequence[str], schema: Schema) -> Any:
        from pyspark.errors import PySparkException

        rows = self._spark.read.parquet(*map(_escape, locations))
        try:
            canonical = rows.selectExpr(*_spell_columns(rows, schema, _PATH.format(start=len(self._root) + 2)))
            # A server is asked now, and not when the rows are.
            _ = canonical.schema
            return canonical
        except PySparkException as error:
            if "_metadata" not in str(error):
                raise
        # Servers that are no Spark, as Sail, do not say which file a row is from: they are told, file by file.
        alone = []
        for location in locations:
            rows, path = self._spark.read.parquet(_escape(location)), location.removeprefix(f"{self._root}/")
            alone.append(rows.selectExpr(*_spell_columns(rows, schema, spell_text(path))))
        return reduce(lambda one, other: one.union(other), alone)

    def _query_of_batches(self) -> str:
        ids = ", ".join(map(literal, self._batches or ()))
        return f"SELECT unnest([{ids}]::VARCHAR[]) AS batch_id"

    def _copy(self, name: str, query: str) -> None:
        """Show Spark rows of the warehouse, which are few: batch sheets, results of samples, names of batches."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        location = self._scratch / f"{view_of(name)}.parquet"
        self._backend.raw_sql(f"COPY ({query}) TO {literal(str(location))} (FORMAT parquet)")
        self._spark.read.parquet(str(location)).createOrReplaceTempView(view_of(name))


def _escape(location: str) -> str:
    """A path that Spark takes for no pattern: its special characters have a backslash before them."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", location)


def _spell_columns(rows: Any, schema: Schema, path: str) -> list[str]:
    stored = {field.name: field.dataType.typeName() for field in rows.schema.fields}
    return [f"{_spell_column(name, kind, stored, path)} AS {quote(name)}" for name, kind in schema.items()]


def _spell_column(name: str, kind: dt.DataType, stored: dict[str, str], path: str) -> str:
    if name == "source_file":
        return path
    if name.startswith(PARTITION):
        pattern = spell_text(f"(?:^|/){re.escape(name.removeprefix(PARTITION))}=([^/]*)/")
        return f"nullif(url_decode(regexp_extract({path}, {pattern}, 1)), '__HIVE_DEFAULT_PARTITION__')"
    if isinstance(kind, dt.Timestamp) and stored[name] == "long":
        # Nanoseconds, of which DuckDB keeps microseconds.
        whole = f"timestamp_micros(({quote(name)} - pmod({quote(name)}, 1000)) DIV 1000)"
        return f"CAST({whole} AS {spell_type(kind)})"
    return f"CAST({quote(name)} AS {spell_type(kind)})" if isinstance(kind, dt.Timestamp) else quote(name)
