"""What a run leaves behind when it is killed, or when its files, its disk or Postgres are not as it needs them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pytest
from tests.increments.lake import MARTS, Lake, readings
from tests.increments.small_disk import fill, small_disk
from tests.increments.started import run, start

from bioreactor_lake.postgres.embedded import EmbeddedServer


def assert_stopped(outcome: tuple[int | None, str], *words: str) -> None:
    """It failed, and said what failed and what to do."""
    code, said = outcome
    assert code == 1, said
    assert "Traceback" not in said, said
    for word in ("Next:", *words):
        assert word in said


def assert_equal(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    for table, rows in expected.items():
        pd.testing.assert_frame_equal(found[table], rows, rtol=1e-9, obj=table)


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    made = Lake(tmp_path / "lake", server)
    for number in range(4):
        made.put(f"{number}.parquet", readings(f"B-{number}", number, count=60) + readings("B-all", number))
    yield made
    for folder in (made.folder, made.warehouse.parent):
        if folder.exists():
            folder.chmod(0o755)
    made.drop()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Callable[[], Lake]]:
    """A lake that was built once, as it was then, with a write-ahead log beside its warehouse."""
    lake = Lake(tmp_path_factory.mktemp("built") / "lake", server)
    lake.put("a.parquet", readings("B-1", 1) + readings("B-2", 2))
    assert run(lake)[0] == 0
    lake.expected = lake.tables()
    # What a run leaves that was killed after a commit: here, one that dropped a batch.
    script = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute(\"SET wal_autocheckpoint = '1GB'\"); "
        "c.execute(\"DELETE FROM curated.dim_batch WHERE batch_id = 'B-1'\"); "
        "c.execute(\"UPDATE lake_state.held SET fingerprint = 'x' WHERE batch_id = 'B-1'\"); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(lake.warehouse)], check=False)
    kept = lake.folder / "kept"
    shutil.copytree(lake.warehouse.parent, kept)
    assert (kept / "lake.duckdb.wal").stat().st_size > 200

    def restored() -> Lake:
        shutil.rmtree(lake.warehouse.parent)
        shutil.copytree(kept, lake.warehouse.parent)
        return lake

    yield restored
    lake.drop()


@pytest.mark.slow
def test_after_kills_at_any_moment_the_next_run_is_a_fresh_build(lake: Lake) -> None:
    chance = random.Random(7)
    codes = []
    for number, writes in enumerate((chance.randint(0, 2), chance.randint(3, 5), chance.randint(6, 7), 8)):
        lake.put(f"{number}.parquet", readings(f"B-{number}", 9 + number, count=60) + readings("B-all", number))
        codes.append(start(lake).kill_after(writes, chance.uniform(0, 0.1)))
    assert codes.count(-9) >= 3
    lake.run()
    lake.assert_equals_fresh_build()


WAL = {
    "cut off": lambda data: data[: len(data) // 2],
    "no log": lambda _: random.Random(1).randbytes(4096),
    "damaged": lambda data: data[:200] + bytes([data[200] ^ 255]) + data[201:],
}


@pytest.mark.slow
def test_what_a_killed_process_left_is_taken_in_by_whoever_looks(built: Callable[[], Lake]) -> None:
    lake = built()
    script = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute(\"SET wal_autocheckpoint = '1GB'\"); "
        "c.execute('CREATE TABLE more AS SELECT range::VARCHAR AS a FROM range(300000)'); "
        "c.execute('CREATE INDEX i ON more (a)'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(lake.warehouse)], check=False)
    with pytest.raises(duckdb.IOException, match="while replaying WAL"):
        lake.open_warehouse()
    looked = lake.run_command("lake", "runs")
    assert looked.returncode == 0, looked.stderr
    with lake.open_warehouse() as connection:
        assert connection.execute("SELECT count(*) FROM more").fetchone() == (300_000,)


@pytest.mark.parametrize("kind", WAL)
def test_a_bad_write_ahead_log_never_gives_wrong_tables(built: Callable[[], Lake], kind: str) -> None:
    lake = built()
    log = lake.warehouse.with_name("lake.duckdb.wal")
    log.write_bytes(WAL[kind](log.read_bytes()))
    code, said = run(lake)
    if code:
        assert_stopped((code, said), "lake.duckdb.wal", "It can be deleted")
        lake.warehouse.unlink()
        lake.run()
    assert_equal(lake.tables(), lake.expected)


@pytest.mark.parametrize(
    "kind",
    [
        "garbage",
        "half",
        "header",
    ],
)
def test_a_damaged_warehouse_is_named_and_can_be_deleted(built: Callable[[], Lake], kind: str) -> None:
    lake = built()
    lake.warehouse.with_name("lake.duckdb.wal").unlink()
    data = lake.warehouse.read_bytes()
    damaged = {
        "garbage": random.Random(1).randbytes(20_000),
        "half": data[: len(data) // 2],
        "header": data[:12_500] + bytes([data[12_500] ^ 255]) + data[12_501:],
    }
    lake.warehouse.write_bytes(damaged[kind])
    assert_stopped(run(lake, "--params", "run.lock_timeout_seconds=1"), str(lake.warehouse), "It can be deleted")
    lake.warehouse.unlink()
    lake.run()
    assert_equal(lake.tables(), lake.expected)


@pytest.mark.skipif(os.geteuid() == 0 and sys.platform != "linux", reason="permissions do not bind root here")
@pytest.mark.parametrize(
    ("file", "folder", "where"),
    [
        (0o444, 0o755, "warehouse/lake.duckdb"),
        (0o644, 0o555, "warehouse/lake.duckdb"),
        pytest.param(0o644, 0o555, "warehouse/new/lake.duckdb"),
        pytest.param(0o444, 0o755, "block/lake.duckdb"),
    ],
)
def test_a_warehouse_that_cannot_be_written_is_named(
    built: Callable[[], Lake], file: int, folder: int, where: str
) -> None:
    lake = built()
    usual = lake.warehouse
    usual.with_name("lake.duckdb.wal").unlink()  # one that is there can be written, whatever its folder allows
    lake.warehouse = lake.folder / where
    if where.startswith("block"):
        shutil.copytree(usual.parent, lake.warehouse.parent, dirs_exist_ok=True)
    try:
        for path, mode in ((usual, file), (usual.parent, folder), (lake.warehouse, file)):
            if path.exists():
                path.chmod(mode)
        outcome = run(lake, "--params", "run.lock_timeout_seconds=1", bound=os.geteuid() == 0)
    finally:
        usual.parent.chmod(0o755)
        usual.chmod(0o644)
        shutil.rmtree(lake.folder / "block", ignore_errors=True)
        lake.warehouse = usual
    assert_stopped(outcome, str(lake.folder / where).removesuffix("/lake.duckdb"), "ermission denied")
    lake.run()
    assert_equal(lake.tables(), lake.expected)


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_nothing_is_wrong_when_there_is_space(lake: Lake) -> None:
    folder = lake.warehouse.parent
    folder.mkdir(parents=True)
    with small_disk(folder):
        assert_survives_a_full_disk(lake, folder)


def assert_survives_a_full_disk(lake: Lake, folder: Path) -> None:
    lake.run()
    before = lake.tables()
    for number in range(4):
        lake.put(f"{number}.parquet", readings(f"B-{number}", 20 + number, count=600))
    filler = fill(folder)
    assert_stopped(run(lake), "No space left on device", "Check the disk's space")
    with psycopg.connect(lake.database) as connection:  # DuckDB cannot even be read: it replays its log first
        for mart in MARTS:
            rows = connection.execute(f"SELECT * FROM marts.{mart} ORDER BY 1, 2, 3, 4").fetchall()
            pd.testing.assert_frame_equal(pd.DataFrame(rows, columns=before[mart].columns), before[mart])
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
    lake.run()
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_of_two_runs_at_once_the_second_waits(lake: Lake) -> None:
    outcomes = [one.wait() for one in [start(lake), start(lake)]]
    assert [code for code, _ in outcomes] == [0, 0], outcomes
    assert sum("Waiting up to" in said for _, said in outcomes) == 1
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_postgres_may_stop_between_runs_and_come_back(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "postgres", options={"fsync": "off"})
    lake = Lake(tmp_path / "lake", server.acquire())
    lake.put("a.parquet", readings("B-1", 1))
    try:
        lake.run()
        server.release()
        lake.put("b.parquet", readings("B-2", 2))
        assert_stopped(run(lake), "The warehouse is valid and the old mart is in place", "Check that Postgres is up")
    finally:
        url = server.acquire()
    assert url.rpartition("/")[0] == lake.database.rpartition("/")[0]  # the port is kept
    lake.run()
    lake.assert_equals_fresh_build()
    lake.drop()
    server.release()


@pytest.mark.slow
def test_no_memory_for_the_inspection_quarantines_no_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from bioreactor_lake.datasets.raw_folder import RawFolder

    summarise = RawFolder._summarise

    def summarise_in_little_memory(self: RawFolder, *arguments: object) -> None:
        self._backend.raw_sql("SET memory_limit = '1500kB'")
        try:
            summarise(self, *arguments)
        finally:
            self._backend.raw_sql("SET memory_limit = '1GB'")

    with monkeypatch.context() as patch, suppress(Exception):
        patch.setattr(RawFolder, "_summarise", summarise_in_little_memory)
        lake.run()
    lake.run()
    lake.assert_equals_fresh_build()


def test_an_empty_lake_id_is_no_id(built: Callable[[], Lake], tmp_path: Path) -> None:
    lake = built()
    usual = lake.warehouse
    lake.warehouse = tmp_path / "other" / "lake.duckdb"
    lake.warehouse.parent.mkdir()
    (lake.warehouse.parent / "lake_id").touch()
    try:
        run(lake)
        assert (lake.warehouse.parent / "lake_id").read_text().strip()
    finally:
        lake.warehouse = usual
