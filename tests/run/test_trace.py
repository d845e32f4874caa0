"""`kedro lake trace` as people type it, on a lake that was built and on one that has only seen its raw files."""

import json
from pathlib import Path

import duckdb
import pytest

OVERVIEW = "marts.mart_bioreactor_overview"


@pytest.fixture
def ingested(kedro) -> None:
    assert kedro("run", "--pipeline", "ingestion").returncode == 0


@pytest.mark.slow
def test_columns_are_traced_to_raw_files_before_any_table_is_built(kedro, ingested, environment) -> None:
    traced = kedro("lake", "trace", f"{OVERVIEW}.avg_value", BIOREACTOR_LAKE_POSTGRES_URL="postgresql://nowhere:1/none")
    assert traced.returncode == 0, traced.stderr
    lines = traced.stdout.splitlines()
    assert lines[0] == f"{OVERVIEW}.avg_value"
    assert "curated.fact_bioreactor_batch_stats.avg_value  identity" in lines[1]
    assert "mean(ifelse(between(value, -1e+150, 1e+150), value, null))" in lines[1]
    for name in ("staging.stg_bioreactor.value  aggregation", "raw.bioreactor.value  transformation", "raw.parquet_"):
        assert name in traced.stdout

    batch = json.loads(kedro("lake", "trace", "dim_batch.site", "--batch", "B-0002", "--format", "json").stdout)
    while batch["inputs"]:
        (batch,) = batch["inputs"]
    with duckdb.connect(environment["BIOREACTOR_LAKE_WAREHOUSE"], read_only=True) as connection:
        known = connection.execute(
            "SELECT path, content_hash, run_id FROM raw.files WHERE list_contains(batch_ids, 'B-0002')"
        ).fetchall()
    assert [tuple(file.values()) for file in batch["files"]] == known
    assert known[0][0] == "B-0002.parquet"
    assert known[0][0] in kedro("lake", "trace", OVERVIEW, "--batch", "B-0002").stdout


@pytest.mark.slow
def test_tables_charts_and_dependents(kedro, ingested) -> None:
    table = kedro("lake", "trace", "dim_batch").stdout
    assert "duration_hours = timestamp_delta('microsecond', max(max(ts)), min(min(ts))) / 3600000000.0" in table
    assert "rows of curated.dim_batch" in table
    dependents = kedro("lake", "trace", "dim_batch.site", "--downstream").stdout
    assert dependents.count(".site") == 3
    chart = kedro("lake", "trace", "dim_batch.site", "--downstream", "--format", "mermaid").stdout
    assert chart.startswith("flowchart LR\n")
    assert "n0 -->|identity| n1" in chart


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mart_bioreactor_overview.avg"], "avg_value"),
        (["dim_batsch.site"], "curated.dim_batch"),
        (["dim_batch.site", "--batch", "B-0009"], "B-0006"),
        (["dim_batch.site", "--batch", "B-0001", "--downstream"], "Leave one out"),
    ],
)
def test_slips_are_usage_errors(kedro, ingested, arguments: list[str], says: str) -> None:
    refused = kedro("lake", "trace", *arguments)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_a_lake_without_a_warehouse_says_what_to_run(kedro, environment) -> None:
    refused = kedro("lake", "trace", "dim_batch")
    assert refused.returncode == 1
    assert "Build it with: kedro run" in refused.stderr
    assert not Path(environment["BIOREACTOR_LAKE_WAREHOUSE"]).exists()


@pytest.mark.nightly
@pytest.mark.slow
def test_a_locked_warehouse_is_told_apart(kedro, ingested, environment, held) -> None:
    with held() as pid:
        refused = kedro("lake", "trace", "dim_batch")
        assert refused.returncode == 4
        assert f"PID {pid}" in refused.stderr
