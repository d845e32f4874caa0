"""Which files make up a table that Spark writes, as the warehouse keeps it.

A write adds files and takes batches out of earlier ones: no file is ever changed, and a transaction of the warehouse
says what counts. Until it commits, readers have the files of before; files that no table has are deleted a day later,
since copies of the warehouse may still be read.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ibis

from bioreactor_lake.datasets import relation_catalog
from bioreactor_lake.datasets.expressions import spell_type
from bioreactor_lake.errors import LakeError
from bioreactor_lake.sql import escape_glob, literal, quote

_FILES, _TAKEN_OUT = "lake_state.spark_files", "lake_state.spark_taken_out"
_KEPT_SECONDS = 86_400
MANY_WRITES = 16
"""So many writes of a table are read beside one another; then the small ones are written together."""


def ensure(backend: Any) -> None:
    """Create the tables of the state if they are not there."""
    backend.raw_sql("CREATE SCHEMA IF NOT EXISTS lake_state")
    if relation_catalog.find(backend, *_FILES.split(".")) is not None:
        return
    backend.raw_sql(f"CREATE TABLE IF NOT EXISTS {_FILES} (name VARCHAR, write_id VARCHAR, location VARCHAR)")
    backend.raw_sql(f"CREATE TABLE IF NOT EXISTS {_TAKEN_OUT} (name VARCHAR, write_id VARCHAR, batch_id VARCHAR)")
    relation_catalog.forget()


def list_written(folder: Path) -> list[str]:
    """The files of a write that has ended.

    Raises:
        LakeError: There are none.
    """
    if not (found := sorted(map(str, folder.glob("*.parquet")))):
        raise LakeError(
            f"Spark has written a table, and there is no file of it in {folder}.",
            kept="The table is as it was.",
            next_step="Give Spark's workers and this process one folder under one path: spark.path in "
            "conf/spark/globals.yml.",
        )
    return found


def forget(backend: Any, name: str) -> None:
    """Let a table have no files; part of the transaction that writes it anew."""
    for table in (_FILES, _TAKEN_OUT):
        backend.raw_sql(f"DELETE FROM {table} WHERE name = {literal(name)}")


def add(backend: Any, name: str, write_id: str, locations: Sequence[str]) -> int:
    """Let a table have the files of a write as well.

    Returns:
        Their rows.
    """
    rows = ", ".join(f"({literal(name)}, {literal(write_id)}, {literal(location)})" for location in locations)
    backend.raw_sql(f"INSERT INTO {_FILES} VALUES {rows}")
    (count,) = backend.raw_sql(f"SELECT count(*) FROM {_read(locations)}").fetchone()
    return int(count)


def take_out(backend: Any, name: str, batches: str) -> None:
    """Let the rows of batches in all files of a table count no longer.

    Args:
        backend: The warehouse.
        name: The table.
        batches: A relation of their `batch_id`.
    """
    backend.raw_sql(
        f"INSERT INTO {_TAKEN_OUT} SELECT DISTINCT {literal(name)}, write_id, batch_id FROM {_FILES}, {batches} "
        f"WHERE name = {literal(name)} EXCEPT SELECT * FROM {_TAKEN_OUT}"
    )


def small_writes(backend: Any, name: str) -> list[str]:
    """The writes to put together, all but the first, where they have become many."""
    writes = sorted(_writes(backend, name))
    return writes[1:] if len(writes) >= MANY_WRITES else []


def let_go(backend: Any, name: str, writes: Sequence[str]) -> None:
    """Let a table have the files of some writes no longer."""
    listed = ", ".join(map(literal, writes))
    for table in (_FILES, _TAKEN_OUT):
        backend.raw_sql(f"DELETE FROM {table} WHERE name = {literal(name)} AND write_id IN ({listed})")


def query(backend: Any, name: str, schema: ibis.Schema, writes: Sequence[str] | None = None) -> str:
    """SQL for the rows of a table, or of some of its writes."""
    columns = ", ".join(
        f"CAST({quote(column)} AS {spell_type(kind)}) AS {quote(column)}" for column, kind in schema.items()
    )
    found = {write: paths for write, paths in _writes(backend, name).items() if writes is None or write in writes}
    if not found:
        empty = ", ".join(f"CAST(NULL AS {spell_type(kind)}) AS {quote(column)}" for column, kind in schema.items())
        return f"SELECT {empty} WHERE false"
    reduced = {
        write
        for (write,) in backend.raw_sql(
            f"SELECT DISTINCT write_id FROM {_TAKEN_OUT} WHERE name = {literal(name)}"
        ).fetchall()
    }
    plain = [path for write, paths in found.items() if write not in reduced for path in paths]
    branches = [f"SELECT {columns} FROM {_read(plain)}"] if plain else []
    branches += [
        f"SELECT {columns} FROM {_read(paths)} WHERE batch_id NOT IN (SELECT batch_id FROM {_TAKEN_OUT} "
        f"WHERE name = {literal(name)} AND write_id = {literal(write)})"
        for write, paths in sorted(found.items())
        if write in reduced
    ]
    return " UNION ALL ".join(branches)


def find_missing(backend: Any, name: str) -> list[str]:
    """Files of a table that are not there."""
    return [path for paths in _writes(backend, name).values() for path in paths if not Path(path).exists()]


def size_of(backend: Any, name: str) -> tuple[int, int]:
    """Files of a table, and their bytes."""
    sizes = [
        Path(path).stat().st_size for paths in _writes(backend, name).values() for path in paths if Path(path).exists()
    ]
    return len(sizes), sum(sizes)


def delete_unused(backend: Any, name: str, folder: Path) -> None:
    """Delete folders of writes that the table has no file of, once nobody can be reading them."""
    used = set(_writes(backend, name))
    for write in folder.iterdir() if folder.is_dir() else ():
        if write.name not in used and time.time() - write.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(write, ignore_errors=True)


def _writes(backend: Any, name: str) -> dict[str, list[str]]:
    if relation_catalog.find(backend, *_FILES.split(".")) is None:
        return {}
    rows = backend.raw_sql(
        f"SELECT write_id, list(location ORDER BY location) FROM {_FILES} WHERE name = {literal(name)} "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return dict(rows)


def _read(locations: Sequence[str]) -> str:
    listed = ", ".join(literal(escape_glob(location)) for location in locations)
    return f"read_parquet([{listed}], hive_partitioning = false)"
