"""A lake that was built once, with a Postgres server of its own that can be stopped, and those who are told of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import psycopg
from receivers import MailServer, Webhook
from tests.increments.lake import MARTS, Lake
from tests.increments.started import Started, start

from bioreactor_lake.postgres.embedded import EmbeddedServer

VALUES = {"ph": 7.4321, "do": 41.2345, "temperature": 36.8765}
IMPOSSIBLE = 99.8765
PASSWORD = "planted-database-password"
SOON = ("--params", "retries.wait_seconds=0.1")


def readings(batch: str, day: int = 1, **differing: float) -> list[tuple[str, str, str, datetime, float | None]]:
    begin = datetime(2026, 1, 1) + timedelta(days=day)
    values = (VALUES | differing).items()
    return [(batch, "BR-1", tag, begin + timedelta(minutes=3 * i), value) for i in range(5) for tag, value in values]


@dataclass
class AlertedLake:
    """The lake and its receivers; `told` gives what they got since it was last asked for."""

    lake: Lake
    server: EmbeddedServer
    webhook: Webhook = field(default_factory=Webhook)
    mail: MailServer = field(default_factory=MailServer)

    def __post_init__(self) -> None:
        self.lake.checkpoints = True
        self.lake.put("B-1.parquet", readings("B-1"))
        assert self.run()[0] == 0
        self._kept = self.lake.folder / "kept"
        for folder in (self.lake.raw, self.lake.warehouse.parent):
            shutil.copytree(folder, self._kept / folder.name)
        with psycopg.connect(self.lake.server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE kept TEMPLATE {self._database}")

    @property
    def _database(self) -> str:
        return self.lake.database.rpartition("/")[2]

    def restore(self) -> None:
        """Everything as it was when it was built."""
        self.start_server()
        for folder in (self.lake.raw, self.lake.warehouse.parent):
            shutil.rmtree(folder)
            shutil.copytree(self._kept / folder.name, folder)
        with psycopg.connect(self.lake.server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {self._database} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {self._database} TEMPLATE kept")
        self.webhook.got.clear()
        self.mail.got.clear()

    def start(self, *arguments: str, **variables: str) -> Started:
        return start(
            self.lake, *arguments, **{"BIOREACTOR_LAKE_ALERTS": f"{self.webhook.url} {self.mail.url}"} | variables
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int | None, str]:
        return self.start(*arguments, **variables).wait()

    def stop_server(self) -> None:
        """As an operator does: sessions end, and what they had not committed is rolled back."""
        self.server.release()

    def start_server(self) -> None:
        """On the port that it had."""
        assert self.server.acquire() == self.lake.server

    @contextmanager
    def waiting_at(self, table: str, *arguments: str, **variables: str) -> Iterator[Started]:
        """A run that waits to write rows of a table of Postgres, and will for as long as the server is up."""
        with suppress(psycopg.OperationalError), psycopg.connect(self.lake.database) as connection:
            connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
            run = self.start(*arguments, **variables)
            with psycopg.connect(self.lake.database, autocommit=True) as other:
                deadline = time.monotonic() + 60
                while not other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                    assert run.process.is_alive(), run.said()
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
            yield run

    def marts(self) -> dict[str, pd.DataFrame]:
        found = self.lake.marts()
        assert found.keys() == set(MARTS)
        return found

    def assert_marts(self, expected: dict[str, pd.DataFrame], of: str | None = None) -> None:
        """They are as they were, or the rows of a batch are."""
        for mart, rows in self.marts().items():
            mine = rows if of is None else rows[rows.batch_id == of].reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, expected[mart], obj=mart)

    def batches(self) -> list[str]:
        """Those in the marts, which are the same in each."""
        (batches,) = {tuple(sorted(set(mart.batch_id))) for mart in self.marts().values()}
        return list(batches)

    def told(self) -> list[str]:
        """The subjects of what was got, which is the same for both; without prefix, and without any secret or value."""
        subjects = [subject.removeprefix("[bioreactor_lake local] ") for subject in self.webhook.subjects]
        assert [str(message["Subject"]).partition("] ")[2] for message in self.mail.got] == subjects
        self._assert_clean(self.texts)
        self.webhook.got.clear()
        self.mail.got.clear()
        return subjects

    @property
    def texts(self) -> list[str]:
        bodies = [part.get_content() for mail in self.mail.got for part in mail.walk() if not part.is_multipart()]
        return [*map(str, self.webhook.got), *map(str, self.mail.got), *bodies]

    def _assert_clean(self, texts: list[str]) -> None:
        secrets = ("planted", self.lake.server.partition("@")[0].rpartition(":")[2])
        for text in texts:
            for word in (*secrets, *map(str, (*VALUES.values(), IMPOSSIBLE))):
                assert word not in text

    def assert_no_secret_is_kept(self) -> None:
        files = [path for path in self.lake.warehouse.parent.rglob("*") if path.is_file() and path.suffix != ".duckdb"]
        assert "alerts.sqlite" in [path.name for path in files]
        self._assert_clean([path.read_bytes().decode("latin-1") for path in files])

    def close(self) -> None:
        self.webhook.close()
        self.mail.close()
        self.server.release()


@contextmanager
def build(folder: Path) -> Iterator[AlertedLake]:
    server = EmbeddedServer(folder / "postgres", options={"fsync": "off"})
    built = AlertedLake(Lake(folder / "lake", server.acquire()), server)
    try:
        yield built
    finally:
        built.close()
