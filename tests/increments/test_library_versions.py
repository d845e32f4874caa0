"""A table that is written anew because a library spells its SQL otherwise says so; lakes of before learn to."""

import json
from pathlib import Path

import duckdb
import ibis
import psycopg
import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from tests.increments.lake import MARTS, PROJECT, Lake, environment, readings
from tests.increments.test_work import age, batches, run

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.planning import plan_run
from bioreactor_lake.lake.libraries import library_versions

TABLES = ("intermediate.int_bioreactor_downsample_5m", "curated.dim_batch", "curated.fact_bioreactor_batch_stats")


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Lake:
    lake = Lake(tmp_path / "lake", server)
    for number in range(3):
        age(lake.put(f"B-{number}.parquet", readings(f"B-{number}", number)))
    lake.run()
    return lake


def planned(lake: Lake) -> dict[str, str | None]:
    with environment(lake), KedroSession.create(project_path=PROJECT, save_on_close=False) as session:
        try:
            plan = plan_run(session.load_context().catalog, pipelines["__default__"])
        finally:
            warehouse.close()
    # A table without batches has nothing to write anew.
    return {table.table: table.reason for table in plan.tables if table.table != "curated.fact_sample_result"}


def written_by(lake: Lake, **versions: str) -> None:
    """Let every table and mart be as another version of some libraries would have written it."""
    libraries = json.dumps(json.loads(library_versions()) | versions)
    with duckdb.connect(lake.warehouse) as connection:
        names = f"name IN {TABLES}"
        connection.execute(f"UPDATE lake_state.relations SET logic = 'other', libraries = ? WHERE {names}", [libraries])
        connection.execute("UPDATE lake_state.held SET fingerprint = 'other'")
    with psycopg.connect(lake.database) as connection:
        connection.execute("UPDATE lake.marts SET logic = 'other', libraries = %s", [libraries])
        connection.execute("UPDATE lake.held SET fingerprint = 'other'")


def test_an_upgraded_library_is_named_with_both_versions(lake: Lake) -> None:
    written_by(lake, ibis="11.0.0")
    says = f"its logic changed, and so did ibis 11.0.0 → {ibis.__version__}"
    assert planned(lake) == dict.fromkeys((*TABLES, *(f"marts.{mart}" for mart in MARTS)), says)
    written = run(lake)
    assert {write.reason for write in written.writes if write.batches} == {says}
    assert set(batches(written).values()) == {3}
    assert set(batches(run(lake)).values()) == {0}


def test_without_an_upgrade_its_own_logic_changed(lake: Lake) -> None:
    written_by(lake)
    assert set(planned(lake).values()) == {"its logic changed"}


def test_an_upgrade_that_changed_no_logic_is_not_named_later(lake: Lake) -> None:
    older = json.dumps(json.loads(library_versions()) | {"sqlglot": "1.0.0"})
    with duckdb.connect(lake.warehouse) as connection:
        connection.execute("UPDATE lake_state.relations SET libraries = ?", [older])
    with psycopg.connect(lake.database) as connection:
        connection.execute("UPDATE lake.marts SET libraries = %s", [older])
    assert set(batches(run(lake)).values()) == {0}
    written = run(lake, overview={"min_readings": 2})
    (reason,) = [write.reason for write in written.writes if write.batches]
    assert reason == "its logic changed"


@pytest.mark.slow
def test_a_lake_of_an_earlier_version_is_read_as_it_is_and_migrated_by_a_run(lake: Lake) -> None:
    with duckdb.connect(lake.warehouse) as connection:
        connection.execute("ALTER TABLE lake_state.relations DROP COLUMN libraries")
    with psycopg.connect(lake.database) as connection:
        connection.execute("ALTER TABLE lake.marts DROP COLUMN libraries")
    assert set(planned(lake).values()) == {None}
    assert set(batches(run(lake)).values()) == {0}
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        kept = connection.execute(
            "SELECT DISTINCT libraries FROM lake_state.relations "
            # Tables without batches were not written.
            "WHERE name NOT IN ('curated.fact_sample_result', 'raw.batch_sheets', 'raw.sample_results')"
        ).fetchall()
    with psycopg.connect(lake.database) as connection:
        kept += connection.execute("SELECT libraries FROM lake.marts").fetchall()
    assert set(kept) == {(library_versions(),)}
    lake.assert_equals_fresh_build()
