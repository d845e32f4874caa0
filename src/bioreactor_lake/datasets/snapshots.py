"""What notebooks read: a copy of the warehouse file, taken without a lock, so that nobody waits for anybody.

DuckDB lets one process write a file, or several read it. A notebook is open for hours, so it must not hold the file;
and a run may have it for as long, so the notebook must not need it either. It therefore copies the file as it lies
there, run or no run, and reads the copy.

Why the copy is sound. A checkpoint of DuckDB writes the blocks of the new state beside those of the old one, and then
one of the two headers at the beginning of the file; until then no block that the old header leads to is used for
something else. So if the headers are the same after the copying as before it, the copy has every block of the state
that they lead to: what was committed at the last checkpoint. If they differ, it is copied again. Blocks that only list
others may be written again in place by a checkpoint; each block has a checksum, so one that was copied half would be
an error and never another value, and all of those are read once before the copy is used.

The copy has no name: it is unlinked as soon as it is open, so it goes with its process, however that ends. Where the
file system can (XFS, Btrfs), it shares its blocks with the warehouse and takes neither time nor room.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import duckdb
import ibis

from bioreactor_lake.errors import LakeError, LockedError
from bioreactor_lake.sql import literal

logger = logging.getLogger(__name__)

# DuckDB's main header, and the two of which a checkpoint writes one.
_HEADERS = 3 * 4096
_PORTION = 64 * 1024 * 1024
_PAUSE = 0.2
_SLOW = 5
_SPILL_DAYS = 7


@dataclass
class Snapshot:
    """A copy that is being read.

    Args:
        backend: The connection to it.
        headers: The headers of the warehouse when it was copied; with each checkpoint they are others.
        taken_at: When it was copied, UTC.
    """

    backend: ibis.BaseBackend
    headers: bytes
    taken_at: datetime


_snapshots: dict[Path, Snapshot] = {}


def are_wanted() -> bool:
    """Whether a person is at the process, in a notebook or IPython, who keeps it open and reads only."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def read(path: Path, patience: float, prepare: Callable[[Any], None], **settings: Any) -> ibis.BaseBackend:
    """The process's connection to its copy of a warehouse, which is taken now if it has none.

    The copy stays the same until Kedro's `%reload_kedro`, so that what a notebook shows fits together.

    Args:
        path: The warehouse.
        patience: Seconds to try for, while a run writes checkpoint after checkpoint.
        prepare: Lets a new connection read what its views read.
        **settings: DuckDB's.

    Raises:
        LakeError: The file is not there or not readable, or there is no room for the copy.
        LockedError: It did not stay the same for as long as copying takes.
    """
    known = _snapshots.get(path)
    if known is not None:
        _say_if_old(path, known)
        return known.backend
    taken = take(path, patience, lambda copy: ibis.duckdb.connect(copy, read_only=True, **settings))
    prepare(taken.backend)
    _snapshots[path] = taken
    return taken.backend


def take(path: Path, patience: float, connect: Callable[[Path], Any]) -> Snapshot:
    """Copy a warehouse and open the copy.

    Args:
        path: The warehouse.
        patience: Seconds to try for.
        connect: Opens a copy for reading.

    Raises:
        LakeError: The file is not there or not readable, or there is no room for the copy.
        LockedError: It did not stay the same for as long as copying takes.
    """
    started = time.monotonic()
    _sweep(path)
    while True:
        # A folder of its own, since DuckDB names a database after its file.
        copy = _folder_beside(path) / f"{_prefix(path)}{uuid.uuid4().hex}" / path.name
        try:
            copy.parent.mkdir()
            headers = _copy(path, copy)
            if headers is not None and (backend := _open(copy, connect)) is not None:
                if (seconds := time.monotonic() - started) > _SLOW:
                    logger.info("Copied %s in %.1f s, to read it while others write it", path, seconds)
                return Snapshot(backend, headers, datetime.now(UTC))
        except FileNotFoundError as error:
            raise LakeError(f"There is no warehouse at {path} yet.", next_step="Build it with: kedro run") from error
        except OSError as error:
            raise LakeError(
                f"{path} cannot be copied to be read: {error.strerror}.",
                next_step="Give this user the right to read it, and make as much room on the disk as it takes.",
            ) from error
        finally:
            with suppress(OSError):
                copy.unlink(missing_ok=True)
                copy.parent.rmdir()
        if time.monotonic() - started > patience:
            raise LockedError(
                f"{path} could not be copied whole for {patience:g} s: it is written all the time, or it is damaged.",
                next_step="Look again when the run is done.",
            )
        time.sleep(_PAUSE)


def _prefix(path: Path) -> str:
    return f".{path.name}.read-"


def _folder_beside(path: Path) -> Path:
    """The warehouse's own folder, with whose file system it may share blocks; another where it cannot be written."""
    return path.parent if os.access(path.parent, os.W_OK) else Path(tempfile.gettempdir())


def _sweep(path: Path) -> None:
    """Remove what processes left that were killed while they copied, or with rows on the disk."""
    for folder in _folder_beside(path).glob(f"{_prefix(path)}*"):
        with suppress(OSError):
            is_spill = folder.suffix == ".tmp"
            if time.time() - folder.stat().st_mtime > (_SPILL_DAYS * 24 if is_spill else 1) * 3600:
                shutil.rmtree(folder)


def _copy(path: Path, copy: Path) -> bytes | None:
    """Copy the file; the headers that the copy begins with, or None where they changed meanwhile."""
    with path.open("rb", buffering=0) as source, copy.open("xb", buffering=0) as target:
        before = _read_headers(source)
        done, size = 0, os.fstat(source.fileno()).st_size
        while done < size and (portion := _copy_portion(source, target, done, min(size - done, _PORTION))):
            done += portion
        return before if _read_headers(source) == before and len(before) == _HEADERS else None


def _read_headers(source: FileIO) -> bytes:
    source.seek(0)
    return source.read(_HEADERS)


def _copy_portion(source: FileIO, target: FileIO, offset: int, most: int) -> int:
    if hasattr(os, "copy_file_range"):
        # The kernel copies, or lets both files have the same blocks.
        with suppress(OSError):
            if copied := os.copy_file_range(source.fileno(), target.fileno(), most, offset, offset):
                return copied
    source.seek(offset)
    target.seek(offset)
    return target.write(source.read(most))


def _open(copy: Path, connect: Callable[[Path], Any]) -> Any | None:
    """Open a copy and read all that leads to its rows; None where some of that was copied while it was written."""
    backend = None
    try:
        backend = connect(copy)
        # What does not fit into memory goes to the disk; the folder of the copy will not be there.
        backend.raw_sql(f"SET temp_directory = {literal(f'{copy.parent}.tmp')}")
        tables = backend.raw_sql("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
        for (table,) in tables:
            backend.raw_sql(f"SELECT count(*) FROM pragma_storage_info({literal(table)})").fetchall()
    except duckdb.Error as error:
        logger.debug("A copy of the warehouse is not whole, it is taken again: %s", error)
        if backend is not None:
            backend.disconnect()
        return None
    return backend


def _say_if_old(path: Path, snapshot: Snapshot) -> None:
    """Say once that the warehouse was written since."""
    with suppress(OSError), path.open("rb", buffering=0) as source:
        headers = _read_headers(source)
        if headers != snapshot.headers:
            snapshot.headers = headers
            logger.warning(
                "The lake was written since %s UTC, which is how this notebook sees it: %%reload_kedro shows it anew.",
                f"{snapshot.taken_at:%H:%M:%S}",
            )
