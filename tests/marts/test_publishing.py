"""A mart is replaced under its readers: they see the old one or the new one, and keep what they built on it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres.database import Database
from bioreactor_lake.postgres.embedded import EmbeddedServer
from bioreactor_lake.postgres.publishing import MartTable, publish

MART = MartTable(
    schema="marts",
    name="mart_test",
    columns={"batch_id": "text", "version": "bigint", "at": "timestamp with time zone"},
    key=["batch_id"],
    indexes=[["version"]],
    description="One row per batch",
    descriptions={"batch_id": "The batch; it's text"},
)
ROWS = 20_000


def rows_of(version: int, count: int = ROWS, size: int = 1_000) -> Callable[[], pa.RecordBatchReader]:
    schema = pa.schema([("batch_id", pa.string()), ("version", pa.int64()), ("at", pa.timestamp("us"))])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, count, size):
            ids = [f"B-{number}" for number in range(start, min(start + size, count))]
            yield pa.record_batch([ids, [version] * len(ids), [version] * len(ids)], schema=schema)

    return lambda: pa.RecordBatchReader.from_batches(schema, batches())


def put(database: Database, version: int, mart: MartTable = MART, *, swap_timeout_seconds: float = 5.0) -> int:
    return database.attempt(
        lambda connection: publish(connection, mart, rows_of(version), swap_timeout_seconds=swap_timeout_seconds),
        what="Publishing marts.mart_test",
        kept="The old mart is in place.",
    )


def seen(connection: psycopg.Connection, table: str = "marts.mart_test") -> tuple[int, int, int]:
    return connection.execute(f"SELECT count(*), min(version), max(version) FROM {table}").fetchone()


def test_every_row_arrives_and_times_are_utc(database: Database) -> None:
    assert put(database, 1_000_000) == ROWS
    with database.connect() as connection:
        assert seen(connection) == (ROWS, 1_000_000, 1_000_000)
        (at,) = connection.execute("SELECT min(at) AT TIME ZONE 'UTC' FROM marts.mart_test").fetchone()
        assert at.isoformat() == "1970-01-01T00:00:01"


def test_grants_views_comments_and_keys_survive(database: Database) -> None:
    put(database, 1)
    with database.connect() as connection:
        connection.execute(f"CREATE ROLE {(reader := 'reader_' + os.urandom(4).hex())}")
        connection.execute(f"GRANT USAGE ON SCHEMA marts TO {reader}")
        connection.execute(f"GRANT SELECT ON marts.mart_test TO {reader}")
        connection.execute("CREATE VIEW public.on_top AS SELECT * FROM marts.mart_test WHERE version > 0")
    put(database, 2)
    with database.connect() as connection:
        assert seen(connection, "public.on_top") == (ROWS, 2, 2)
        connection.execute(f"SET ROLE {reader}")
        assert seen(connection) == (ROWS, 2, 2)
        connection.execute("RESET ROLE")
        (comment,) = connection.execute("SELECT obj_description('marts.mart_test'::regclass)").fetchone()
        assert comment == "One row per batch"
        (comment,) = connection.execute("SELECT col_description('marts.mart_test'::regclass, 1)").fetchone()
        assert comment == "The batch; it's text"
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO marts.mart_test VALUES ('B-1', 3, now())")


def test_a_polling_reader_sees_whole_versions_only(database: Database) -> None:
    put(database, 0)
    done, found = threading.Event(), set()

    def poll() -> None:
        with database.connect() as connection:
            connection.autocommit = True
            while not done.is_set():
                found.add(seen(connection))

    thread = threading.Thread(target=poll)
    thread.start()
    for version in range(1, 8):
        put(database, version)
    done.set()
    thread.join()
    assert found <= {(ROWS, version, version) for version in range(8)}
    assert len(found) > 1


@pytest.mark.parametrize("touched_before", [True, False])
def test_an_older_snapshot_never_finds_the_mart_empty(database: Database, touched_before: bool) -> None:
    put(database, 1)
    with database.connect() as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT 1")
        if touched_before:
            # It holds the mart until it ends: the publish must neither wait for ever nor disturb it.
            assert seen(reader) == (ROWS, 1, 1)
        put(database, 2, swap_timeout_seconds=0.2)
        assert seen(reader) in ({(ROWS, 1, 1)} if touched_before else {(ROWS, 1, 1), (ROWS, 2, 2)})
    with database.connect() as connection:
        assert seen(connection) == (ROWS, 2, 2)
    put(database, 3)
    with database.connect() as connection:
        assert seen(connection) == (ROWS, 3, 3)
        left = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'lake'").fetchone()
        assert left == (1,)


def test_a_mart_that_gains_a_column_keeps_views_and_grants(database: Database) -> None:
    put(database, 1, replace(MART, columns={name: MART.columns[name] for name in ("batch_id", "version", "at")}))
    with database.connect() as connection:
        connection.execute("CREATE VIEW public.on_top AS SELECT batch_id, version FROM marts.mart_test")
    put(database, 2, replace(MART, columns={**MART.columns, "extra": "double precision"}))
    with database.connect() as connection:
        assert seen(connection, "public.on_top") == (ROWS, 2, 2)
        assert connection.execute("SELECT count(extra) FROM marts.mart_test").fetchone() == (0,)


def test_killing_postgres_in_the_middle_keeps_the_old_mart(own_server: EmbeddedServer) -> None:
    database = Database({"attempts": 1}, own_server.acquire())
    put(database, 1)
    with database.connect() as connection:
        postmaster = _parent(connection.info.backend_pid)

    def dying() -> pa.RecordBatchReader:
        whole = rows_of(2)()

        def batches() -> Iterator[pa.RecordBatch]:
            for number, batch in enumerate(whole):
                if number == 5:
                    os.kill(postmaster, signal.SIGKILL)
                yield batch

        return pa.RecordBatchReader.from_batches(whole.schema, batches())

    with pytest.raises(LakeError) as failure:
        database.attempt(
            lambda connection: publish(connection, MART, dying, swap_timeout_seconds=5),
            what="Publishing marts.mart_test",
            kept="The old mart is in place.",
        )
    assert "The old mart is in place." in str(failure.value)
    assert "kedro run --pipeline marts" in str(failure.value)
    again = Database({"attempts": 1}, own_server.acquire())
    with again.connect() as connection:
        assert seen(connection) == (ROWS, 1, 1)
    put(again, 3)
    with again.connect() as connection:
        assert seen(connection) == (ROWS, 3, 3)


def test_errors_that_pass_are_tried_again(database: Database) -> None:
    tried = []

    def fail_once(connection: psycopg.Connection) -> str:
        tried.append(1)
        if len(tried) == 1:
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        return "done"

    patient = Database({"attempts": 3, "wait_seconds": 0}, database.url)
    assert patient.attempt(fail_once, what="Publishing", kept="") == "done"
    assert len(tried) == 2


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://lake:hunter2-secret@127.0.0.1:{port}/lake", "Correct user and password"),
        ("postgresql://lake:hunter2-secret@127.0.0.1:1/lake", "Check that Postgres is up"),
        ("mysql://lake:hunter2-secret@127.0.0.1/lake", "Write it as postgresql://"),
        ("postgresql://lake:hunter2-secret@127.0.0.1:port/lake", "Write it as postgresql://"),
        ("postgresql://lake:hunter2-secret@[/lake?x", "Write it as postgresql://"),
    ],
)
def test_no_error_shows_the_password(server: str, url: str, says: str) -> None:
    port = server.rpartition(":")[2].partition("/")[0]
    with pytest.raises(LakeError) as failure:
        Database({"attempts": 1}, url.format(port=port)).attempt(
            lambda connection: None, what="Publishing", kept="The old mart is in place."
        )
    assert says in str(failure.value)
    chain: BaseException | None = failure.value
    while chain is not None:
        assert "hunter2" not in str(chain)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)


def _parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])
