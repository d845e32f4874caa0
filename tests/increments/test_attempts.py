"""A failed write is kept with its table until one succeeds, and keeping it never makes anything worse."""

from pathlib import Path

import duckdb
import psycopg
import pytest
from tests.increments.lake import Lake, readings

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.attempts import record_failures
from bioreactor_lake.datasets.tables import MaterialisedDataset
from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.lake.runs import running


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Lake:
    lake = Lake(tmp_path / "lake", server)
    lake.put("a.parquet", readings("B-1", 1))
    return lake


def kept(lake: Lake) -> dict[str, str]:
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'attempts'").fetchone():
            return {}
        return dict(connection.execute("SELECT name, error FROM lake_state.attempts").fetchall())


@pytest.mark.slow
def test_a_rolled_back_save_is_kept_until_one_succeeds(lake: Lake) -> None:
    for pipeline in ("ingestion", "staging"):
        lake.run(pipeline)
    lake.put("a.parquet", readings("B-1", 2, count=9))
    with pytest.raises(Exception, match="changed since it was inspected"):
        lake.run("curated")
    ((table, error),) = kept(lake).items()
    assert table in ("intermediate.int_bioreactor_downsample_5m", "curated.dim_batch")
    assert "a.parquet changed since it was inspected" in error
    lake.run()
    assert kept(lake) == {}


@pytest.mark.slow
def test_a_mart_keeps_the_latest_failure_only(lake: Lake) -> None:
    lake.run()
    with psycopg.connect(lake.database) as connection:
        connection.execute("UPDATE lake.identity SET lake_id = 'first'")
    with pytest.raises(Exception, match="another lake"):
        lake.run()
    with psycopg.connect(lake.database) as connection:
        connection.execute("UPDATE lake.identity SET lake_id = 'second'")
    with pytest.raises(Exception, match="another lake"):
        lake.run()
    (error,) = kept(lake).values()
    assert "second" in error
    lake.run("marts", take_over=True)
    assert kept(lake) == {}


def test_nothing_to_ingest_and_a_refused_command_are_no_failures(lake: Lake, tmp_path: Path) -> None:
    lake.run()
    with pytest.raises(UsageError):
        lake.run_batches("B-2")
    lake.raw = tmp_path / "empty"
    lake.raw.mkdir()
    with pytest.raises(Exception, match="No raw file"):
        lake.run(allow_removal=True)
    assert kept(lake) == {}


def test_a_failure_that_cannot_be_kept_changes_nothing(lake: Lake) -> None:
    lake.run()
    config: warehouse.WarehouseConfig = {"filepath": str(lake.warehouse), "raw": {"path": str(lake.raw)}}
    table = MaterialisedDataset(table_name="t", database="curated", warehouse=config, description="", order_by=[])
    fault = LakeError("Writing curated.t failed.")
    with running() as this_run:
        record_failures([table], this_run, fault)  # the warehouse is not open, and not opened
        assert warehouse.writable(table.warehouse_config) is None
        table.connection.disconnect()
        record_failures([table], this_run, fault)
        warehouse.close()
        table.connection.raw_sql("SELECT 1")
        record_failures([table], this_run, KeyboardInterrupt())
        record_failures([table], this_run, RuntimeError("Query interrupted"))
        warehouse.close()
    assert kept(lake) == {}
