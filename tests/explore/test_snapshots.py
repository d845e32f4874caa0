"""The copy that notebooks read is the warehouse at a checkpoint, whoever writes meanwhile, and holds up nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import ibis
import pytest

from bioreactor_lake.datasets import snapshots
from bioreactor_lake.errors import LakeError, LockedError

# What it writes in one transaction fits together; it says how often it could not open the file.
WRITER = """
import random, sys, time
import duckdb
refused = n = 0
until = time.time() + float(sys.argv[2])
while time.time() < until:
    try:
        connection = duckdb.connect(sys.argv[1])
    except duckdb.IOException:
        refused += 1
        continue
    connection.execute("CREATE TABLE IF NOT EXISTS readings (batch INTEGER, value BIGINT, text VARCHAR)")
    connection.execute("CREATE TABLE IF NOT EXISTS totals (batch INTEGER, readings BIGINT, total HUGEINT)")
    for _ in range(random.randint(1, 4)):
        n += 1
        batch, rows = random.randrange(20), random.choice([10, 3_000, 40_000])
        connection.execute(f'''
            BEGIN; DELETE FROM readings WHERE batch = {batch}; DELETE FROM totals WHERE batch = {batch};
            INSERT INTO readings SELECT {batch}, hash(i + {n}) % 1000000, md5(i::VARCHAR) FROM range({rows}) AS r (i);
            INSERT INTO totals SELECT batch, count(*), sum(value) FROM readings WHERE batch = {batch} GROUP BY batch;
            COMMIT''')
        if n % 3 == 0:
            connection.execute("CHECKPOINT")
    connection.close()
print(n, refused)
"""
DIFFERENCES = """
SELECT count(*) FROM totals FULL JOIN (SELECT batch, count(*) AS readings, sum(value) AS total, min(len(text)) AS short
FROM readings GROUP BY batch) AS found USING (batch)
WHERE totals.readings IS DISTINCT FROM found.readings OR totals.total IS DISTINCT FROM found.total OR short <> 32
"""


def connect(copy: Path) -> ibis.BaseBackend:
    return ibis.duckdb.connect(copy, read_only=True)


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "bioreactor.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE SCHEMA curated; CREATE TABLE curated.dim_batch AS SELECT 'B-1' AS batch_id")
    return path


def test_copies_fit_together_while_a_process_writes_and_waits_for_nobody(tmp_path: Path) -> None:
    path = tmp_path / "bioreactor.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE readings AS SELECT 1 AS batch, 1::BIGINT AS value, md5('1') AS text")
        connection.execute("CREATE TABLE totals AS SELECT 1 AS batch, 1::BIGINT AS readings, 1::HUGEINT AS total")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), "2.5"], stdout=subprocess.PIPE, text=True)
    seen = set()
    taken = 0
    while writer.poll() is None:
        snapshot = snapshots.take(path, 30, connect)
        ((differences,),) = snapshot.backend.raw_sql(DIFFERENCES).fetchall()
        assert differences == 0
        seen.add(snapshot.headers)
        taken += 1
        snapshot.backend.disconnect()
    output, _ = writer.communicate()
    writes, refused = map(int, output.split())
    assert refused == 0
    assert writes > 5
    assert taken > 5
    assert len(seen) > 2


def test_nothing_is_left_on_the_disk(warehouse: Path) -> None:
    snapshot = snapshots.take(warehouse, 5, connect)
    assert [path.name for path in warehouse.parent.iterdir()] == [warehouse.name]
    # It is read all the same, under the name that views and people know.
    assert snapshot.backend.raw_sql("FROM bioreactor.curated.dim_batch").fetchall() == [("B-1",)]


def test_a_copy_stays_as_it_is_and_says_once_that_the_lake_went_on(
    warehouse: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def read() -> list[tuple[str]]:
        backend = snapshots.read(warehouse, 5, lambda copy: None)
        return backend.raw_sql("FROM curated.dim_batch").fetchall()

    assert read() == [("B-1",)]
    with duckdb.connect(warehouse) as connection:
        connection.execute("INSERT INTO curated.dim_batch VALUES ('B-2')")
    assert read() == read() == [("B-1",)]
    assert caplog.text.count("%reload_kedro") == 1


def test_a_copy_of_a_file_that_is_being_written_is_taken_again(warehouse: Path) -> None:
    """Where a checkpoint falls into the copying, the headers differ; a writer that never pauses is given up on."""
    opened = 0

    def interrupted(copy: Path) -> ibis.BaseBackend:
        nonlocal opened
        opened += 1
        if opened < 3:
            raise duckdb.IOException("Corrupt database file: computed checksum does not match")
        return connect(copy)

    assert snapshots.take(warehouse, 5, interrupted).backend.raw_sql("FROM curated.dim_batch").fetchall()
    assert opened == 3
    started = time.monotonic()
    with pytest.raises(LockedError, match="could not be copied whole"):
        snapshots.take(warehouse, 0.5, lambda copy: duckdb.connect(copy.with_name("gone") / "x"))
    assert time.monotonic() - started < 5


def test_a_damaged_copy_is_found_before_it_is_read(warehouse: Path, tmp_path: Path) -> None:
    content = bytearray(warehouse.read_bytes())
    # Anything behind the headers, as a copy has it of which only half was written.
    content[3 * 4096 + 100] ^= 0xFF
    damaged = tmp_path / "damaged" / "bioreactor.duckdb"
    damaged.parent.mkdir()
    damaged.write_bytes(bytes(content))
    with pytest.raises(LockedError):
        snapshots.take(damaged, 0.3, connect)


def test_what_was_killed_is_swept_up(warehouse: Path) -> None:
    left = warehouse.with_name(f".{warehouse.name}.read-of-a-killed-process")
    left.mkdir()
    (left / warehouse.name).write_bytes(b"half")
    snapshots.take(warehouse, 5, connect)
    assert left.exists()  # it may be at it
    os.utime(left, (0, 0))
    snapshots.take(warehouse, 5, connect)
    assert not left.exists()


def test_a_warehouse_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="kedro run"):
        snapshots.take(tmp_path / "nowhere.duckdb", 5, connect)
    assert list(tmp_path.iterdir()) == []
