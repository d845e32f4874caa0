"""What no run can build again, written to a folder and read from there: who did, saw and decided what, and when.

Everything else in the warehouse and in the marts follows from the raw files and the configuration.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import duckdb

from bioreactor_lake.datasets import history, relation_catalog, verdicts, warehouse
from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.sql import literal

# The manifest knows when a file was first seen, by which run, and the versions that are gone; the rest is history.
KEPT = ("raw.files", "quality.releases", "quality.results", "ops.runs", "ops.node_runs")
_LAKE_ID = "lake_id"


def write_backup(config: warehouse.WarehouseConfig, folder: Path) -> dict[str, int]:
    """Write what a run cannot build again into a folder, over what an earlier backup left there.

    Returns:
        Rows by table.

    Raises:
        LockedError: A run holds the warehouse.
        LakeError: There is no warehouse, or the folder cannot be written; an earlier backup is then whole.
    """
    written = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with warehouse.open_for_reading(config) as backend:
            connection: Any = backend
            for table in KEPT:
                schema, _, name = table.partition(".")
                if relation_catalog.columns_of(backend, schema, name):
                    part = folder / f".{table}.parquet.new"
                    copied = connection.raw_sql(f"COPY {table} TO {literal(str(part))} (FORMAT parquet)").fetchone()
                    written[table] = int(copied[0])
        # Renamed only when all are there.
        for table in written:
            (folder / f".{table}.parquet.new").replace(folder / f"{table}.parquet")
        (folder / _LAKE_ID).write_text(warehouse.identity(config))
    except (OSError, duckdb.Error) as error:
        raise LakeError(
            f"The backup in {folder} cannot be written: {error}",
            kept="The lake is as it was.",
            next_step="Make room, or name a folder that this user may write.",
        ) from error
    return written


def restore_backup(config: warehouse.WarehouseConfig, folder: Path) -> dict[str, int]:
    """Begin a warehouse with what a backup has; the next run builds the rest.

    Returns:
        Rows by table.

    Raises:
        UsageError: There is a warehouse, or the folder holds no backup.
        LakeError: The backup cannot be read; there is no warehouse then.
    """
    path = Path(config["filepath"])
    files = {table: folder / f"{table}.parquet" for table in KEPT if (folder / f"{table}.parquet").exists()}
    if path.exists():
        raise UsageError(
            f"There is a warehouse at {path}.",
            kept="Nothing was changed.",
            next_step="Move it away first: a backup is where a new one begins.",
        )
    if not files:
        raise UsageError(f"{folder} holds no backup.", next_step="Name the folder that kedro lake backup wrote.")
    restored = {}
    try:
        backend: Any = warehouse.connect(config, write=True)
        with warehouse.transaction(backend):
            history.ensure(backend)
            verdicts.ensure(backend)
            for table, file in files.items():
                rows = f"SELECT * FROM read_parquet({literal(str(file))})"
                backend.raw_sql(f"CREATE SCHEMA IF NOT EXISTS {table.partition('.')[0]}")
                backend.raw_sql(f"CREATE TABLE IF NOT EXISTS {table} AS {rows} LIMIT 0")
                (restored[table],) = backend.raw_sql(f"INSERT INTO {table} BY NAME {rows}").fetchone()
    except (OSError, duckdb.Error) as error:
        warehouse.close(path)
        path.unlink(missing_ok=True)
        raise LakeError(
            f"The backup in {folder} cannot be read: {error}",
            kept="There is no warehouse, as before.",
            next_step="Take another backup, or build the warehouse without one: kedro run",
        ) from error
    finally:
        relation_catalog.forget()
    identity = path.with_name(_LAKE_ID)
    if not identity.exists() and (folder / _LAKE_ID).exists():
        part = identity.with_name(f".{_LAKE_ID}.{os.getpid()}")
        shutil.copyfile(folder / _LAKE_ID, part)
        part.replace(identity)
    return restored
