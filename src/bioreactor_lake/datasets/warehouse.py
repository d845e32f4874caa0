"""The DuckDB file: one connection per process, opened for writing only inside a run."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict

import duckdb
import ibis

from bioreactor_lake.datasets import snapshots
from bioreactor_lake.datasets.warehouse_file import open_file
from bioreactor_lake.errors import LakeError, LockedError
from bioreactor_lake.lake.runs import Run, current_run, new_run_id
from bioreactor_lake.raw_store import RawConfig, RawStore, open_store

logger = logging.getLogger(__name__)


class WarehouseConfig(TypedDict, total=False):
    """The catalog's `warehouse` entry.

    Args:
        filepath: The DuckDB file.
        threads: Threads of DuckDB; null for as many as the machine has cores.
        memory_limit: Such as `4GB`; null for DuckDB's own limit, 80 % of the machine's memory.
        raw: Where the raw files are that its views read.
    """

    filepath: str
    raw: RawConfig
    threads: int | None
    memory_limit: str | None


_connections: dict[Path, tuple[Any, bool]] = {}
_stores: dict[Path, RawStore] = {}


def connect(config: WarehouseConfig, *, write: bool | None = None, patience: float | None = None) -> ibis.BaseBackend:
    """The process's connection to a warehouse.

    Inside a run it can write. Outside of one it only reads, and the file is left alone between uses by `close`; a
    notebook reads a copy (`snapshots`), and so holds up nobody.

    Args:
        config: Where the file is and how DuckDB may use the machine.
        write: Ask for a connection that can write; by default inside a run only.
        patience: Seconds to wait for another process that holds the file; by default what the run says.

    Raises:
        LockedError: Another process held the file for longer than the time-out.
        LakeError: The file is not there to be read, is no DuckDB file, or cannot be opened.
    """
    path = Path(config["filepath"])
    write = current_run() is not None if write is None else write
    backend, can_write = _connections.get(path, (None, False))
    if backend is not None and (can_write or not write):
        return backend
    if backend is not None:
        close(path)
    if not write and snapshots.are_wanted():
        patience = Run().lock_timeout_seconds if patience is None else patience
        return snapshots.read(path, patience, lambda copy: _prepare(copy, config, False), **_set(config))
    backend = _open(path, config, write, patience)
    try:
        _prepare(backend, config, write)
    except BaseException:
        backend.disconnect()
        raise
    _connections[path] = backend, write
    return backend


@contextmanager
def glance(config: WarehouseConfig) -> Iterator[None]:
    """Read the warehouse for a moment: waiting for nobody, and letting go of it at once, so that a run can begin.

    Kedro-Viz answers one request at a time: one that waited for a run would keep all others waiting. A connection that
    the process has already serves, and stays.

    Raises:
        LockedError: A run holds the warehouse.
        LakeError: The file is not there, or cannot be opened.
    """
    if current_run() is not None or Path(config["filepath"]) in _connections:
        yield
        return
    try:
        connect(config, patience=0)
    except LockedError as error:
        raise LockedError("The warehouse is in use.", next_step="Look again when the run is done.") from error
    try:
        yield
    finally:
        close(Path(config["filepath"]))


@contextmanager
def open_for_reading(config: WarehouseConfig) -> Iterator[ibis.BaseBackend]:
    """A connection of the block's own that reads, at once or not at all; it cannot read raw files.

    Raises:
        LockedError: Another process holds the file.
        LakeError: The file is not there to be read, is no DuckDB file, or cannot be opened.
    """
    backend = _open(Path(config["filepath"]), config, False, patience=0)
    try:
        yield backend
    finally:
        backend.disconnect()


def raw_store(config: WarehouseConfig) -> RawStore:
    """Where the raw files of a warehouse are; one client serves as long as the connection does.

    Raises:
        LakeError: The address of the raw files is none, or what reads object stores is not installed.
    """
    path = Path(config["filepath"])
    if path not in _stores:
        _stores[path] = open_store(config["raw"])
    return _stores[path]


def writable(config: WarehouseConfig) -> ibis.BaseBackend | None:
    """The connection that can write, if the process has one; opens nothing."""
    backend, can_write = _connections.get(Path(config["filepath"]), (None, False))
    return backend if can_write else None


def share_done() -> float | None:
    """How much of the query under way is done, from 0 to 100; None where nobody knows. For other threads to ask."""
    for backend, _ in list(_connections.values()):
        with suppress(duckdb.Error):
            return float(backend.con.query_progress())
    return None


def close(path: Path | None = None) -> None:
    """Close the connection to one warehouse, or to all, so that other processes can open the file."""
    for known in [path] if path is not None else [*_connections, *_stores]:
        _stores.pop(known, None)
        if entry := _connections.pop(known, None):
            entry[0].disconnect()


def interrupt() -> None:
    """Stop what DuckDB is doing for this process, in all of its threads.

    An exception that a signal raises leaves a query at its work, and the next statement, be it ROLLBACK, waits for it.
    """
    for backend, _ in [*_connections.values()]:
        backend.con.interrupt()


def identity(config: WarehouseConfig) -> str:
    """The lake's id, kept beside the warehouse so that it outlives a deleted one.

    Raises:
        LakeError: It cannot be read or written.
    """
    path = Path(config["filepath"]).with_name("lake_id")
    try:
        if not path.exists() or not path.read_text().strip():
            # Written beside and linked into place: a crash leaves no empty id, and of two processes one wins.
            part = path.with_name(f".lake_id.{os.getpid()}")
            part.write_text(f"{new_run_id()}\n")
            if path.exists():
                path.unlink()
            with suppress(FileExistsError):
                os.link(part, path)
            part.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise LakeError(
            f"The lake's id in {path} cannot be read or written: {error.strerror}.",
            kept="Nothing was published.",
            next_step="Give this user the right to write the folder, and make room on its disk.",
        ) from error


@contextmanager
def transaction(backend: Any) -> Iterator[None]:
    """Commit what the block does, or leave everything as it was when it raises."""
    backend.raw_sql("BEGIN TRANSACTION")
    try:
        yield
        backend.raw_sql("COMMIT")
    except BaseException:
        # A failed COMMIT has already ended the transaction.
        with suppress(duckdb.Error):
            backend.raw_sql("ROLLBACK")
        raise


def _prepare(backend: Any, config: WarehouseConfig, write: bool) -> None:
    raw_store(config).prepare(backend, remember=write)
    if sys.stdout.isatty():
        # DuckDB counts how far a query is only where it would show it.
        backend.raw_sql("SET enable_progress_bar = true")
        backend.raw_sql("SET enable_progress_bar_print = false")


def _set(config: WarehouseConfig) -> dict[str, Any]:
    """DuckDB's settings."""
    return {name: value for name, value in config.items() if name in ("threads", "memory_limit") and value is not None}


def _open(path: Path, config: WarehouseConfig, write: bool, patience: float | None) -> ibis.BaseBackend:
    timeout = (current_run() or Run()).lock_timeout_seconds if patience is None else patience
    return open_file(path, write=write, timeout=timeout, **_set(config))
