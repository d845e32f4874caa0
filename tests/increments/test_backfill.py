"""A run that names batches writes those and no others, and the next plain run ends where a full build would."""

from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from tests.increments.lake import MARTS, PROJECT, Lake, environment, readings
from tests.increments.test_work import age, batches, run

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.status import TableStatus, find_status
from bioreactor_lake.datasets.tables import MaterialisedDataset
from bioreactor_lake.lake.runs import running

TABLES = ("intermediate.int_bioreactor_downsample_5m", "curated.dim_batch", "curated.fact_bioreactor_batch_stats")


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Lake:
    lake = Lake(tmp_path / "lake", server)
    for number in range(6):
        age(lake.put(f"{number}.parquet", readings(f"0000{number}", number)))
    return lake


def held(lake: Lake) -> dict[str, set[str]]:
    """The batches whose rows are in each table."""
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        found = {table: connection.execute(f"SELECT DISTINCT batch_id FROM {table}").fetchall() for table in TABLES}
    with psycopg.connect(lake.database) as connection:
        for mart in MARTS:
            found[f"marts.{mart}"] = connection.execute(f"SELECT DISTINCT batch_id FROM marts.{mart}").fetchall()
    return {table: {batch for (batch,) in rows} for table, rows in found.items()}


def status(lake: Lake) -> dict[str, TableStatus]:
    with environment(lake), KedroSession.create(project_path=PROJECT, save_on_close=False) as session:
        found = find_status(session.load_context().catalog, pipelines["__default__"])
    return {table.table: table for table in found if table.table in TABLES or "mart_" in table.table}


def stale(lake: Lake) -> set[int | None]:
    return {table.stale_batches for table in status(lake).values()}


@pytest.mark.slow
def test_named_batches_are_written_again_and_others_stay_as_they_are(lake: Lake) -> None:
    lake.run()
    before = lake.tables()
    for number in (2, 3, 4):
        age(lake.put(f"{number}.parquet", readings(f"0000{number}", number + 20)))
    written = lake.run_batches("00001", "00003")
    assert set(batches(written).values()) == {2}
    assert stale(lake) == {2}
    after = lake.tables()
    for table in (*TABLES, *MARTS):
        changed = before[table].merge(after[table], how="outer", indicator=True).query("_merge != 'both'")
        assert set(changed["batch_id"]) == {"00003"}, table
    assert set(batches(run(lake)).values()) == {2}
    assert stale(lake) == {0}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_the_first_batches_of_a_lake_can_be_named(lake: Lake) -> None:
    lake.run_batches("00004")
    assert set(map(frozenset, held(lake).values())) == {frozenset({"00004"})}
    assert stale(lake) == {5}
    lake.run()
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_mart_that_is_gone_begins_with_the_named_batches(lake: Lake) -> None:
    lake.run()
    with psycopg.connect(lake.database) as connection:
        connection.execute("DROP TABLE marts.mart_bioreactor_overview")
    with duckdb.connect(lake.warehouse) as connection:
        connection.execute("DROP TABLE curated.dim_batch")
    lake.run_batches("00002")
    found = held(lake)
    assert found["curated.dim_batch"] == found["marts.mart_bioreactor_overview"] == {"00002"}
    assert len(found["marts.mart_bioreactor_timeline"]) == 6
    lake.run()
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_batch_that_no_file_holds_is_refused_before_any_is_written(lake: Lake) -> None:
    lake.run()
    age(lake.put("3.parquet", readings("00003", 30)))
    for pipeline in ((), ("curated",)):
        with pytest.raises(Exception, match="No accepted raw file holds '3'") as refused:
            lake.run_batches("3", "00003", pipelines=pipeline)
        assert "Did you mean '00003'" in str(refused.value)
    assert {table.freshness for table in status(lake).values()} == {"stale"}


@pytest.mark.slow
def test_a_batch_that_the_tables_below_lack_is_refused(lake: Lake) -> None:
    lake.run()
    age(lake.put("9.parquet", readings("00009", 9)))
    lake.run("ingestion")
    with pytest.raises(Exception, match="do not hold '00009' yet"):
        lake.run_batches("00009", pipelines=("marts",))
    lake.run_batches("00009")
    assert stale(lake) == {0}


@pytest.mark.slow
def test_new_rules_can_be_tried_on_one_batch(lake: Lake) -> None:
    lake.run()
    written = lake.run_batches("00002", overview={"excluded_tags": ["ph"]})
    assert set(batches(written).values()) == {1}
    with psycopg.connect(lake.database) as connection:
        rows = connection.execute(
            "SELECT DISTINCT batch_id FROM marts.mart_bioreactor_overview WHERE tag = 'ph' ORDER BY 1"
        ).fetchall()
    assert [batch for (batch,) in rows] == [f"0000{number}" for number in (0, 1, 3, 4, 5)]
    lake.run()
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_rows_of_other_columns_do_not_stay_beside_the_named_batches(lake: Lake) -> None:
    lake.run()
    before = lake.tables()
    with psycopg.connect(lake.database) as connection:
        connection.execute("ALTER TABLE marts.mart_bioreactor_overview DROP COLUMN site")
    with duckdb.connect(lake.warehouse) as connection:
        connection.execute("ALTER TABLE intermediate.int_bioreactor_downsample_5m DROP COLUMN last_value")
    written = {write.table: write.reason for write in lake.run_batches("00002").writes if write.batches == 6}
    assert written == dict.fromkeys(
        ("intermediate.int_bioreactor_downsample_5m", "marts.mart_bioreactor_overview"), "its columns changed"
    )
    for table, rows in lake.tables().items():
        # A column that is added to a mart is its last one.
        pd.testing.assert_frame_equal(rows[before[table].columns], before[table], obj=table)
    assert stale(lake) == {0}


def test_what_is_not_batch_local_is_written_as_a_whole(lake: Lake) -> None:
    lake.run()
    config: warehouse.WarehouseConfig = {"filepath": str(lake.warehouse), "raw": {"path": str(lake.raw)}}
    shares = MaterialisedDataset(
        table_name="shares", database="curated", warehouse=config, description="", order_by=["batch_id"]
    )
    dim = MaterialisedDataset(
        table_name="dim_batch", database="curated", warehouse=config, description="", order_by=["batch_id"]
    )
    with running() as this_run:
        this_run.batches = ("00002",)
        rows = dim.load()
        shares.save(rows.select("batch_id", share=rows.reading_count / rows.reading_count.sum()))
        (write,) = this_run.writes
        found = shares.load().share.sum().to_pyarrow().as_py()
        warehouse.close()
    assert write.batches == write.rows == 6
    assert write.reason
    assert found == pytest.approx(1)
