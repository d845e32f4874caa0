"""Opening the DuckDB file: whom it waits for, what a killed process left in it, and what is said where it fails."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import duckdb
import ibis
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_fixed

from bioreactor_lake.errors import LakeError, LockedError
from bioreactor_lake.lake import resident

logger = logging.getLogger(__name__)

_SCHEMAS = {
    "landing",
    "raw",
    "staging",
    "intermediate",
    "curated",
    "marts",
    "lake_state",
    "quality",
    "ops",
    "main",
    "temp",
}


def open_file(path: Path, *, write: bool, timeout: float, **settings: Any) -> ibis.BaseBackend:
    """Connect to a warehouse.

    Args:
        path: The file; a writer makes it, and its folder, where it is not there.
        write: Whether to write.
        timeout: Seconds to wait for another process that holds the file.
        **settings: DuckDB's.

    Raises:
        LockedError: Another process held the file for longer.
        LakeError: The file is not there to be read, is no DuckDB file, or cannot be opened.
    """
    if path.stem.lower() in _SCHEMAS:
        raise LakeError(
            f"The warehouse cannot be called {path.name}: DuckDB names a database after its file, "
            f"and there is a schema {path.stem}.",
            next_step="Give it another name in BIOREACTOR_LAKE_WAREHOUSE, such as bioreactor.duckdb.",
        )
    existed = path.exists()
    if write:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LakeError(
                f"The folder {path.parent} cannot be made: {error.strerror}.",
                kept="Nothing was changed.",
                next_step="Correct BIOREACTOR_LAKE_WAREHOUSE, or give this user the right to write there.",
            ) from error
    elif not existed:
        raise LakeError(f"There is no warehouse at {path} yet.", next_step="Build it with: kedro run")
    waiting = Retrying(
        retry=retry_if_exception(_is_locked),
        stop=stop_after_delay(timeout),
        wait=wait_fixed(0.25),
        before_sleep=_say_once(path, timeout),
        reraise=True,
    )
    try:
        try:
            return waiting(_connect, path, read_only=not write, **settings)
        except duckdb.IOException as error:
            if write or not _is_left_unfinished(error):
                raise
            # Of what a killed process left in the log, DuckDB lets nobody but a writer take in an index.
            waiting(duckdb.connect, str(path), config=settings).close()
            return waiting(_connect, path, read_only=True, **settings)
    except duckdb.Error as error:
        if _is_locked(error):
            raise LockedError(
                f"{path} {f'stayed locked for {timeout:g} s' if timeout else 'is locked'}. {_holder(error)}",
                kept="Nothing was changed.",
                next_step="Close that process, or wait for it and run again.",
            ) from error
        if not existed:
            # A disk that was full leaves a beginning that no later run could open.
            path.unlink(missing_ok=True)
        if "ermission denied" in str(error):
            next_step = "Give this user the right to write the file and its folder."
        elif _is_left_unfinished(error):
            next_step = "The next kedro run finishes what a killed process left; nothing is lost."
        else:
            next_step = (
                "Check that the file is a DuckDB file of this version, readable and on a disk with space. "
                "It can be deleted: kedro run rebuilds it from the raw files. What no run can build again comes from a "
                "backup, see docs/restore.md."
            )
        raise LakeError(
            f"DuckDB cannot open {path}: {error}", kept="Nothing was changed.", next_step=next_step
        ) from error


def _connect(path: Path, **settings: Any) -> ibis.BaseBackend:
    """A connection; in a process that stays the same object again, so that what is kept of expressions fits it."""
    if not resident.stays():
        return ibis.duckdb.connect(path, **settings)
    made: list[ibis.BaseBackend] = []

    def make() -> ibis.BaseBackend:
        made.append(ibis.duckdb.connect(path, **settings))
        return made[0]

    backend = resident.kept(("backend", path, *sorted(settings.items())), make)
    if not made:
        backend.reconnect()
    return backend


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, duckdb.IOException) and "could not set lock on file" in str(error).lower()


def _is_left_unfinished(error: BaseException) -> bool:
    return "while replaying WAL" in str(error) and "Bad file descriptor" in str(error)


def _holder(error: BaseException) -> str:
    """DuckDB's own sentence about the process that holds the lock."""
    lines = [line for line in str(error).splitlines() if "Conflicting lock" in line]
    return lines[0][lines[0].index("Conflicting lock") :].split(" See also")[0] if lines else str(error)


def _say_once(path: Path, timeout: float) -> Any:
    def say(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            reason = _holder(state.outcome.exception() or Exception())
            logger.warning("Waiting up to %g s for %s. %s", timeout, path, reason)

    return say
