"""The file beside the warehouse that keeps a run from its first moment until the warehouse has it.

DuckDB lets nobody read a warehouse that a run writes, so a row that says there that the run began would be seen by no
one before its end, and a run that waits for the warehouse has none to write into. A file can always be written. The
process holds a lock on it, which ends with the process however that ends: a file without an end that nobody holds is
that of a run that was killed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from bioreactor_lake.lake.history import KILLED, KILLED_ERROR, RUNNING, RunRecord, describe_killed
from bioreactor_lake.lake.incidents import Finding

if sys.platform != "win32":
    import fcntl

# Room that a file takes from the start, so that the end can be written where the disk is full by then.
_ROOM = 16 * 1024


class RunJournal:
    """The file of one run.

    Args:
        folder: Where such files are.
        record: What is known of the run.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, folder: Path, record: RunRecord) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{record.run_id}.json"
        fresh = folder / f".{record.run_id}.new"
        self._file = FileIO(fresh, "w+")
        try:
            # Nobody finds it before it is locked.
            _lock(self._file)
            _write(self._file, _line(record).ljust(_ROOM))
            fresh.replace(self.path)
        except BaseException:
            self._file.close()
            fresh.unlink(missing_ok=True)
            raise

    def keep(self, record: RunRecord) -> None:
        """Replace what it says.

        Raises:
            OSError: It cannot be written.
            ValueError: It is closed.
        """
        _write(self._file, _line(record))

    def close(self, *, delete: bool) -> None:
        """Let go of the file.

        Args:
            delete: Whether the warehouse has what it says.
        """
        with self._file, suppress(OSError):
            if delete:
                self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Leftover:
    """A file that is still there.

    Args:
        path: The file.
        record: What it says; a run that nobody is at work on has ended in it.
        file: Holds the lock until it is closed; closed for a run that is under way.
    """

    path: Path
    record: RunRecord
    file: FileIO

    @property
    def is_mine(self) -> bool:
        """Whether nobody else is at work on it."""
        return not self.file.closed

    def close(self, *, delete: bool) -> None:
        """Let go of the file, and delete it if the warehouse has what it says."""
        if not self.is_mine:
            return
        # One that cannot be deleted is found again, and its run is known by then.
        with self.file, suppress(OSError):
            if delete:
                self.path.unlink(missing_ok=True)


def journals_of(warehouse: Path) -> Path:
    """The folder of the files, beside a warehouse."""
    return warehouse.with_name(f"{warehouse.stem}.runs")


def find_leftovers(folder: Path) -> Iterator[Leftover]:
    """The files that are there, oldest first; who gets them closes them."""
    for path in sorted(folder.glob("*.json")):
        try:
            file = FileIO(path, "r+")
        except OSError:
            continue  # another process has just taken it over, or it is somebody else's
        try:
            heard_of = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            free = _lock(file)
            record = RunRecord.from_json(file.readall().partition(b"\n")[0].decode())
        except (OSError, ValueError):
            file.close()
            continue
        if not free:
            file.close()
        elif record.status == RUNNING:
            record.end(KILLED, heard_of, KILLED_ERROR)
        yield Leftover(path, record, file)


def find_killed(folder: Path) -> list[Finding]:
    """Runs that were killed and that no run has seen since; the warehouse is not opened for it."""
    found = []
    for leftover in find_leftovers(folder):
        if leftover.record.status == KILLED:
            found.append(describe_killed(leftover.record))
        leftover.close(delete=False)
    return found


def _lock(file: FileIO) -> bool:
    """Whether nobody else holds the file. Where there are no such locks, every file counts as held."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _line(record: RunRecord) -> bytes:
    return record.to_json().encode() + b"\n"


def _write(file: FileIO, text: bytes) -> None:
    """Over what is there: its first line is what counts."""
    file.seek(0)
    while text:
        text = text[file.write(text) :]
