"""The lineage events that are not sent everywhere yet, and how far each target has got.

An SQLite file, since it survives a process that is killed at any moment. Events go to a target in the order of their
ids; what a target has got is one number.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterable
from pathlib import Path

if sys.platform != "win32":
    import fcntl

NAME = "outbox.sqlite"
# A target that is configured in one shell and not in another keeps what it has not got. One that was given up must
# not keep events for ever.
FORGOTTEN_AFTER_DAYS = 30
_BUSY_SECONDS = 1.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS progress (
    target TEXT PRIMARY KEY, sent_up_to INTEGER NOT NULL DEFAULT 0, configured_at REAL NOT NULL
);
"""


class Outbox:
    """One connection to the outbox; every thread has its own.

    Args:
        folder: Where the outbox lies; made if it is not there.

    Raises:
        OSError: The folder cannot be made.
        sqlite3.Error: The file is none of SQLite's, or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            folder / NAME, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                # Two processes that do this at once are not made to wait by SQLite: one of them fails.
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            except sqlite3.OperationalError:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def add(self, event: str) -> None:
        """Keep an event until every target has got it."""
        self._connection.execute("INSERT INTO events (event) VALUES (?)", [event])

    def register(self, targets: Iterable[str]) -> None:
        """Note which targets are configured; a new one starts at the oldest event that is still kept."""
        now = time.time()
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO progress (target, configured_at) VALUES (?, ?) "
                "ON CONFLICT (target) DO UPDATE SET configured_at = excluded.configured_at",
                [(target, now) for target in targets],
            )
            self._connection.execute(
                "DELETE FROM progress WHERE configured_at < ?", [now - FORGOTTEN_AFTER_DAYS * 86_400]
            )
            self._delete_sent()

    def next_event(self, target: str) -> tuple[int, str] | None:
        """The oldest event that a target has not got."""
        row: tuple[int, str] | None = self._connection.execute(
            "SELECT id, event FROM events WHERE id > (SELECT sent_up_to FROM progress WHERE target = ?) "
            "ORDER BY id LIMIT 1",
            [target],
        ).fetchone()
        return row

    def confirm(self, target: str, number: int) -> None:
        """Note that a target has got an event, and drop events that all have got."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("UPDATE progress SET sent_up_to = ? WHERE target = ?", [number, target])
            self._delete_sent()

    def _delete_sent(self) -> None:
        self._connection.execute("DELETE FROM events WHERE id <= (SELECT min(sent_up_to) FROM progress)")

    def pending(self, target: str) -> int:
        """How many events a target has not got; for one that is not known yet all that are kept."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM events WHERE id > coalesce((SELECT sent_up_to FROM progress WHERE target = ?), 0)",
            [target],
        ).fetchone()
        return int(count)

    def oldest(self, target: str) -> str | None:
        """The oldest event that a target has not got, as JSON."""
        row = self._connection.execute(
            "SELECT event FROM events WHERE id > coalesce((SELECT sent_up_to FROM progress WHERE target = ?), 0) "
            "ORDER BY id LIMIT 1",
            [target],
        ).fetchone()
        return None if row is None else str(row[0])

    def size(self) -> int:
        """How many events are kept."""
        return int(self._connection.execute("SELECT count(*) FROM events").fetchone()[0])

    def targets(self) -> list[str]:
        """Every target that is known, configured now or not long ago."""
        return [target for (target,) in self._connection.execute("SELECT target FROM progress ORDER BY target")]

    def begin_sending(self, target: str) -> int | None:
        """Become the only process that sends to a target: a descriptor to close afterwards, None where another is."""
        path = self._lock_path(target)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def who_sends(self, target: str) -> str:
        """That another process sends to a target, and which; empty where none does."""
        descriptor = self.begin_sending(target)
        if descriptor is not None:
            os.close(descriptor)
            return ""
        try:
            number = self._lock_path(target).read_text().strip()
        except OSError:
            number = ""
        return f"process {number} is sending them"

    def _lock_path(self, target: str) -> Path:
        return self.folder / f"outbox.{hashlib.sha256(target.encode()).hexdigest()[:8]}.lock"


def find_outbox(folder: Path) -> Outbox | None:
    """The outbox of a folder where there is one; none is made.

    Raises:
        sqlite3.Error: The file is none of SQLite's, or cannot be written.
    """
    return Outbox(folder) if (folder / NAME).exists() else None
