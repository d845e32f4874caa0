"""The same nodes on Spark: every table as DuckDB has it, increments and readers included."""

from __future__ import annotations

import importlib.util
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import hostile_files
import ibis
import pytest
import reference
from lake_under_test import DIM, FACT, LAYERS, MARTS, OVERVIEW, PROJECT, SERIES, Lake, NewLake
from raw_files import NOON, RawFolder, of
from reference import Reading

from bioreactor_lake.datasets.spark import files
from bioreactor_lake.datasets.spark.session import connect, stop
from bioreactor_lake.datasets.spark.spelling import spell_for_spark
from bioreactor_lake.errors import LakeError
from bioreactor_lake.pipelines.staging.nodes import clean_text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="misses pyspark: the extra spark"),
    pytest.mark.skipif(shutil.which("java") is None, reason="misses Java 17"),
]
TABLES = (DIM, FACT, SERIES)
SAMPLE = PROJECT / "data" / "01_raw" / "bioreactor"


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    yield
    stop()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, new_lake: NewLake, session: None) -> tuple[RawFolder, Lake]:
    folder = hostile_files.fill(tmp_path_factory.mktemp("it's raw [1]*"))
    lake = new_lake(folder.root, marts=True, **hostile_files.BERLIN)
    lake.env = "spark"
    return folder, lake.run(*LAYERS, MARTS)


@pytest.mark.parametrize("table", [*TABLES, OVERVIEW])
def test_every_number_of_hostile_files(hostile: tuple[RawFolder, Lake], table: str) -> None:
    folder, lake = hostile
    expected = reference.tables(folder.readings)[table]
    reference.assert_table(lake.rows(table), expected, reference.KEYS[table])


def test_work_follows_change(tmp_path: Path, new_lake: NewLake, session: None) -> None:
    folder = RawFolder(tmp_path / "raw")

    def readings(batch: str, value: float) -> list[Reading]:
        times = [NOON + timedelta(seconds=40 * step) for step in range(50)]
        return [
            Reading(batch, "E", "t", ts, value + step, source_file=f"{batch[1:]}.parquet")
            for step, ts in enumerate(times)
        ]

    for number in range(7):
        folder.add(
            f"{number}.parquet", of(readings(f"B{number}", float(number))), readings(f"B{number}", float(number))
        )
    lake = new_lake(folder.root)
    lake.env = "spark"
    lake.run()
    before = _files_of(lake)
    assert len({write for _, write, _ in before}) == len(TABLES)

    lake.run()
    assert _files_of(lake) == before

    # One is changed, one goes, one comes: each table has one write more, and the rest of its rows stay where they are.
    folder.add("0.parquet", of(readings("B0", 100.0)), [])
    (folder.root / "1.parquet").unlink()
    folder.add("7.parquet", of(readings("B7", 7.0)), [])
    lake.run()
    assert before < _files_of(lake)
    assert len({write for _, write, _ in _files_of(lake)}) == 2 * len(TABLES)
    now = [*readings("B0", 100.0), *(one for number in range(2, 8) for one in readings(f"B{number}", float(number)))]
    for table, expected in reference.tables(now).items():
        if table in TABLES:
            reference.assert_table(lake.rows(table), expected, reference.KEYS[table])

    # DuckDB takes over and gives back.
    lake.env = None
    assert _kinds(lake.run()) == {"BASE TABLE"}
    lake.env = "spark"
    assert _kinds(lake.run()) == {"VIEW"}

    # Files that went are written again, as after a restored backup.
    shutil.rmtree(lake.warehouse.with_name("spark"))
    lake.run()
    for table, expected in reference.tables(now).items():
        if table in TABLES:
            reference.assert_table(lake.rows(table), expected, reference.KEYS[table])


def test_many_small_writes_are_put_together(
    tmp_path: Path, new_lake: NewLake, session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MANY_WRITES", 3)
    folder, all_readings = RawFolder(tmp_path / "raw"), []
    lake = new_lake(folder.root)
    lake.env = "spark"
    for number in range(4):
        found = [Reading(f"B{number}", "E", "t", NOON, float(number))]
        all_readings += found
        folder.add(f"{number}.parquet", of(found), found)
        lake.run()
    writes = {(name, write) for name, write, _ in _files_of(lake)}
    # The first, and one that the others were put together in.
    assert len(writes) == len(TABLES) * 2
    for table, expected in reference.tables(folder.readings).items():
        if table in TABLES:
            reference.assert_table(lake.rows(table), expected, reference.KEYS[table])


def test_a_worker_that_dies_costs_nothing(tmp_path: Path, new_lake: NewLake, session: None) -> None:
    from spark_cluster import Cluster

    expected = new_lake(SAMPLE).run()
    cluster = Cluster(tmp_path).start(workers=2)
    try:
        lake = new_lake(SAMPLE)
        lake.env, lake.spark_master = "spark", cluster.url

        def kill_in_the_middle() -> None:
            while not list(lake.warehouse.with_name("spark").glob("*/*/_temporary")):
                time.sleep(0.01)
            cluster.kill_worker()

        killer = threading.Thread(target=kill_in_the_middle)
        killer.start()
        lake.run()
        killer.join()
        assert len(cluster.workers) == 1
        for table in TABLES:
            rows = {tuple(row[name] for name in reference.KEYS[table]): row for row in expected.rows(table)}
            reference.assert_table(lake.rows(table), rows, reference.KEYS[table])
    finally:
        stop()
        cluster.stop()


def test_a_lake_says_where_spark_cannot_be_reached(tmp_path: Path, new_lake: NewLake, session: None) -> None:
    lake = new_lake(SAMPLE)
    lake.env, lake.spark_master = "spark", "mesos://nobody"
    with pytest.raises(Exception, match=r"Spark at mesos://nobody cannot be begun(.|\n)*conf/spark/globals.yml"):
        lake.run()


def test_a_token_in_an_address_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    # Refused before anything is asked: such an address has no path.
    remote = "sc://127.0.0.1:1/no-path;token=planted-s3cret"
    with pytest.raises(LakeError, match=r"Spark at sc://127\.0\.0\.1:1/no-path cannot be begun") as refused:
        connect({"remote": remote, "path": "nowhere"})
    assert "planted-s3cret" not in f"{refused.value}{caplog.text}"


def _files_of(lake: Lake) -> set[tuple[str, str, str]]:
    return {tuple(row.values()) for row in lake.query("FROM lake_state.spark_files")}


def _kinds(lake: Lake) -> set[str]:
    names = ", ".join(f"'{table.rpartition('.')[2]}'" for table in TABLES)
    return {
        row["table_type"]
        for row in lake.query(f"SELECT table_type FROM information_schema.tables WHERE table_name IN ({names})")
    }


def test_what_ibis_spells_otherwise_is_said_so_that_both_mean_the_same() -> None:
    table = ibis.table({"batch_id": "string", "value": "float64", "ts": "timestamp(6)"}, name="t", database="raw")
    sql = spell_for_spark(
        table.select(
            hours=table.ts.delta(table.ts, unit="microsecond") / 3.6e9,
            infinite=table.value.isinf(),
            clean=clean_text(table.batch_id),
            number=table.batch_id.re_search(r"^\d+$"),
        )
    )
    assert "CAST('3600000000.0' AS DOUBLE)" in sql
    assert "1.7976931348623157e308" in sql
    assert "REGEXP_REPLACE" not in sql
    assert r"'^\\d+\\z'" in sql


def test_a_function_that_spark_does_not_have_is_refused() -> None:
    @ibis.udf.scalar.builtin
    def list_sort(text: str) -> str: ...

    table = ibis.table({"batch_id": "string"}, name="t", database="raw")
    with pytest.raises(LakeError, match="calls the function list_sort of DuckDB, which Spark does not have"):
        spell_for_spark(table.select(sorted=list_sort(table.batch_id)))
