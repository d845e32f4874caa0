"""What is amiss, who was told of it, and what is still to be delivered: an SQLite file that processes share.

It lies beside the warehouse and not in it, since the warehouse may be what fails, and survives a process that is
killed at any moment. It holds no address.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from bioreactor_lake.lake.incidents import Finding, Kind

KEPT_DAYS = 7
_BUSY_SECONDS = 2.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS incidents (
    kind TEXT, what TEXT, opened_at REAL, last_seen REAL, run_id TEXT, finding TEXT, PRIMARY KEY (kind, what)
);
CREATE TABLE IF NOT EXISTS told (kind TEXT, what TEXT, channel TEXT, at REAL, PRIMARY KEY (kind, what, channel));
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT, at REAL, message TEXT);
CREATE TABLE IF NOT EXISTS senders (channel TEXT PRIMARY KEY, until REAL);
"""
# Room that the file takes from the start, so that it can be written where the disk is full by then.
_ROOM = f"""
CREATE TABLE room (filling BLOB);
INSERT INTO room VALUES (zeroblob({128 * 1024}));
"""


@dataclass(frozen=True)
class Incident:
    """Something that is amiss, from when it was first seen.

    Args:
        kind: What kind of thing.
        finding: What, and what was last said of it.
        opened_at: When it was first seen, in seconds since 1970.
        last_seen: When it was last seen.
        run_id: The run that saw it first.
        told: When each channel was last told.
    """

    kind: Kind
    finding: Finding
    opened_at: float
    last_seen: float
    run_id: str
    told: dict[str, float]


@dataclass(frozen=True)
class Message:
    """What is sent.

    Args:
        subject: One short line.
        text: The rest as plain text.
        html: The same for channels that show it.
        good: Whether it says that something is over.
    """

    subject: str
    text: str
    html: str
    good: bool = False


class AlertState:
    """A connection to the file; made where there is none.

    Args:
        path: The file; None for one in memory, where no file can be kept.
        undoes: Whether a process that is killed while it writes leaves the file as it was. That takes room on the disk.

    Raises:
        OSError: The folder cannot be made.
        sqlite3.Error: The file is none of SQLite's, or cannot be written.
    """

    def __init__(self, path: Path | None, *, undoes: bool = True) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path or ":memory:", timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            if not undoes:
                self._rows("PRAGMA journal_mode = MEMORY")
            with self.changing():
                is_new = not self._rows("SELECT 1 FROM sqlite_master LIMIT 1")
                for statement in filter(str.strip, (_SCHEMA + (_ROOM if is_new else "")).split(";")):
                    self._connection.execute(statement)
            # Pages that were written once and are free now.
            self._rows("DROP TABLE IF EXISTS room")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """All that the block changes, or nothing of it; other processes wait."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def incidents(self, kind: Kind | None = None) -> list[Incident]:
        """What is amiss, oldest first."""
        told: dict[tuple[str, str], dict[str, float]] = {}
        for one, what, channel, at in self._rows("SELECT kind, what, channel, at FROM told"):
            told.setdefault((one, what), {})[channel] = at
        return [
            Incident(one, Finding(**json.loads(finding)), opened, seen, run_id, told.get((one, what), {}))
            for one, what, opened, seen, run_id, finding in self._rows(
                "SELECT kind, what, opened_at, last_seen, run_id, finding FROM incidents "
                "WHERE ?1 IS NULL OR kind = ?1 ORDER BY opened_at, kind, what",
                kind,
            )
        ]

    def see(self, kind: Kind, found: Collection[Finding], run_id: str, now: float) -> None:
        """Note that things are amiss, those that are known as well."""
        for finding in found:
            since = now if finding.since is None else finding.since
            self._rows(
                "INSERT INTO incidents (kind, what, opened_at, last_seen, run_id, finding) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET last_seen = excluded.last_seen, finding = excluded.finding",
                kind, finding.what, since, now, run_id, json.dumps(asdict(finding)),
            )  # fmt: skip

    def end(self, incident: Incident) -> None:
        """Note that something is over."""
        for table in ("incidents", "told"):
            self._rows(f"DELETE FROM {table} WHERE kind = ? AND what = ?", incident.kind, incident.finding.what)

    def tell(self, channel: str, incidents: Sequence[Incident], message: Message, now: float) -> None:
        """Have a message delivered to a channel, which is then told of these incidents."""
        self._rows(
            "INSERT INTO outbox (channel, at, message) VALUES (?, ?, ?)", channel, now, json.dumps(asdict(message))
        )
        for one in incidents:
            self._rows("INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)", one.kind, one.finding.what, channel, now)

    def pending(self, channel: str) -> list[tuple[int, Message]]:
        """What a channel has not got, in order."""
        rows = self._rows("SELECT id, message FROM outbox WHERE channel = ? ORDER BY id", channel)
        return [(number, Message(**json.loads(message))) for number, message in rows]

    def count_pending(self) -> dict[str, int]:
        """How many messages each channel has not got; none where it has all."""
        return dict(self._rows("SELECT channel, count(*) FROM outbox GROUP BY channel ORDER BY channel"))

    def is_quiet(self) -> bool:
        """Whether nothing is amiss and nothing is to be delivered."""
        return not self._rows("SELECT 1 FROM incidents UNION ALL SELECT 1 FROM outbox LIMIT 1")

    def confirm(self, number: int) -> None:
        """Drop a message that was delivered."""
        self._rows("DELETE FROM outbox WHERE id = ?", number)

    def give_up_old(self, now: float) -> dict[str, int]:
        """Drop messages that are too old to be news; how many of each channel."""
        before = now - KEPT_DAYS * 86_400
        with self.changing():
            dropped = self._rows("SELECT channel, count(*) FROM outbox WHERE at < ? GROUP BY channel", before)
            self._rows("DELETE FROM outbox WHERE at < ?", before)
        return dict(dropped)

    def begin_sending(self, channel: str, seconds: float) -> bool:
        """Become the only process that sends to a channel, for so long at most; False where another is."""
        now = time.time()
        with self.changing():
            if self._rows("SELECT 1 FROM senders WHERE channel = ? AND until > ?", channel, now):
                return False
            self._rows("INSERT OR REPLACE INTO senders VALUES (?, ?)", channel, now + seconds)
        return True

    def end_sending(self, channel: str) -> None:
        """Let other processes send to a channel."""
        self._rows("DELETE FROM senders WHERE channel = ?", channel)

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return cast(list[tuple[Any, ...]], self._connection.execute(statement, values).fetchall())
