"""`kedro lake watch` as a real process on a real Postgres: what arrives ends in the marts once, whatever is killed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.increments.lake import Lake, readings
from tests.watch.watched import Watched, half

# What is made up need not be physical.
PLAIN = ("--params", "checkpoints=false")


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    made = Lake(tmp_path / "lake", server)
    yield made
    made.drop()


@pytest.fixture
def watches() -> Iterator[list[Watched]]:
    started: list[Watched] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.end()


def published(lake: Lake) -> int:
    """Batches that both marts have."""
    absent = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
    with suppress(*absent), psycopg.connect(lake.database) as connection:
        (found,) = connection.execute(
            "SELECT count(*) FROM (SELECT batch_id FROM marts.mart_bioreactor_overview INTERSECT "
            "SELECT batch_id FROM marts.mart_bioreactor_timeline) AS both_have"
        ).fetchone()
        return found
    return 0


def assert_is_what_the_files_say(lake: Lake) -> None:
    """Every reading of every raw file once in staging, and the overview computed from them by plain SQL."""
    raw = f"(SELECT batch_id, equipment_id, tag, ts, value FROM read_parquet('{lake.raw}/**/*.parquet'))"
    staged = "(SELECT batch_id, equipment_id, tag, ts, value FROM staging.stg_bioreactor)"
    with lake.open_warehouse() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for one, other in ((raw, staged), (staged, raw)):
            assert connection.execute(f"SELECT count(*) FROM (FROM {one} EXCEPT ALL FROM {other})").fetchone() == (0,)
        expected = connection.execute(
            "SELECT batch_id, equipment_id, tag, count(*) AS reading_count, min(value) AS min_value, "
            f"avg(value) AS avg_value, max(value) AS max_value FROM {raw} GROUP BY ALL ORDER BY 1, 2, 3"
        ).df()
    with psycopg.connect(lake.database) as connection:
        names = ", ".join(expected.columns)
        rows = connection.execute(f"SELECT {names} FROM marts.mart_bioreactor_overview ORDER BY 1, 2, 3").fetchall()
        timeline = connection.execute(
            "SELECT sum(reading_count)::bigint FROM marts.mart_bioreactor_timeline"
        ).fetchone()
    found = pd.DataFrame(rows, columns=expected.columns)
    key = ["batch_id", "equipment_id", "tag"]  # Postgres may sort text otherwise
    pd.testing.assert_frame_equal(
        found.sort_values(key, ignore_index=True), expected.sort_values(key, ignore_index=True), check_dtype=False
    )
    assert timeline == (int(expected.reading_count.sum()),)


@pytest.mark.nightly
@pytest.mark.slow
def test_500_files_in_bursts_half_written_and_killed_in_between_arrive_once(lake: Lake, watches: list[Watched]) -> None:
    chance = random.Random(11)
    names = ("batch_id", "equipment_id", "tag", "ts", "value")

    def content(number: int) -> bytes:
        # Every fifth batch comes in two files.
        rows = readings(f"B-{number - number % 5 // 4:03d}", number, count=40)
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)}), sink)
        return sink.getvalue().to_pybytes()

    files = {f"{number // 100}/{number:03d}.parquet": content(number) for number in range(500)}
    for folder in range(5):
        (lake.raw / str(folder)).mkdir()
    unfinished: list[str] = []
    watches.append(Watched(lake, *PLAIN))
    paths = iter(files)
    for burst, size in enumerate((20, 60, 100, 140, 180)):
        for path in [next(paths) for _ in range(size)]:
            # A fifth is cut off for now, at any place.
            whole = chance.random() > 0.2
            data = files[path]
            (lake.raw / path).write_bytes(data if whole else data[: chance.randrange(len(data))])
            unfinished += [] if whole else [path]
        if burst in (1, 2):
            # In the midst of what it does: the watch, and then only its worker.
            time.sleep(chance.uniform(0.3, 1.5))
            if burst == 1:
                watches[-1].kill()
                watches.append(Watched(lake, *PLAIN))
            elif (worker := watches[-1].worker()) is not None:
                worker.kill()
        chance.shuffle(unfinished)
        for path in [unfinished.pop() for _ in range(len(unfinished) // 2)]:
            (lake.raw / path).write_bytes(files[path])
    time.sleep(1)
    for path in unfinished:
        with (lake.raw / path).open("ab") as stream:
            stream.write(files[path][stream.tell() :])
    watch = watches[-1]
    batches = len({f"B-{number - number % 5 // 4:03d}" for number in range(500)})
    watch.until(lambda: published(lake) == batches and watch.get("/readyz")[0] == 200)
    watch.until(lambda: watch.metrics()["lake_raw_files"] == 500)
    assert watch.metrics()["lake_quarantined_files"] == 0
    code, seconds = watch.end()
    assert (code, seconds < 10) == (143, True), watch.said()
    assert_is_what_the_files_say(lake)


@pytest.mark.nightly
@pytest.mark.slow
def test_it_waits_tells_tries_again_and_answers(lake: Lake, watches: list[Watched]) -> None:
    for number in range(6):
        lake.put(f"{number}.parquet", readings(f"B-{number}", number))
    watch = Watched(lake, "--poll", "0.3", "--params", "checkpoints=false", "--env", "local")
    watches.append(watch)
    # What came while nobody watched.
    watch.until(lambda: watch.get("/readyz") == (200, "ok\n"))
    assert published(lake) == 6
    assert watch.get("/healthz") == (200, "ok\n")
    metrics = watch.metrics()
    assert metrics['lake_rows{table="staging.stg_bioreactor"}'] == 36
    assert metrics['lake_batches{table="marts.mart_bioreactor_overview"}'] == 6
    assert metrics['lake_runs_total{status="completed"}'] == metrics["lake_run_duration_seconds_count"] == 1
    assert metrics['lake_staleness_seconds{layer="marts"}'] > 0
    assert metrics["lake_held_batches"] == metrics["lake_quarantined_files"] == 0

    # Between runs the warehouse is anybody's, and whoever has it is waited for.
    with duckdb.connect(lake.warehouse):
        lake.put("6.parquet", readings("B-6", 6))
        watch.until(lambda: watch.get("/readyz")[0] == 503)
        assert "a run waits for the warehouse" in watch.get("/readyz")[1]
        assert watch.get("/healthz")[0] == 200
        assert published(lake) == 6
    watch.until(lambda: published(lake) == 7)

    # A run that fails is tried again when files change, and says why meanwhile.
    gone = {path: path.read_bytes() for path in sorted(lake.raw.iterdir())[:5]}
    for path in gone:
        path.unlink()
    watch.until(lambda: "5 of 7 accepted raw files are gone" in watch.get("/readyz")[1])
    assert published(lake) == 7
    for path, data in gone.items():
        path.write_bytes(data)
    watch.until(lambda: watch.get("/readyz")[0] == 200)
    assert watch.metrics()['lake_runs_total{status="failed"}'] >= 1

    # One that is not whole is passed over, and nothing is said against it.
    cut = lake.put("7.parquet", readings("B-7", 7))
    data = half(cut)
    lake.put("8.parquet", readings("B-8", 8))
    watch.until(lambda: published(lake) == 8)
    assert watch.metrics()["lake_quarantined_files"] == 0
    cut.write_bytes(data)
    watch.until(lambda: published(lake) == 9)

    # A worker that is killed is another's affair.
    killed = watch.worker()
    assert killed is not None
    killed.kill()
    lake.put("9.parquet", readings("B-9", 9))
    watch.until(lambda: published(lake) == 10)
    assert watch.metrics()["lake_worker_starts_total"] == 2

    second = lake.run_command("lake", "watch", "--port", "0")
    assert second.returncode == 4
    assert "is watched already" in second.stderr
    code, seconds = watch.end(signal.SIGINT)
    assert (code, seconds < 10) == (130, True), watch.said()
    assert_is_what_the_files_say(lake)
