"""`kedro lake status` from the outside: what it says of a lake that is new, whole, behind, failed or locked."""

import json
from pathlib import Path

import duckdb
import psycopg
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from bioreactor_lake.cli.status import status
from bioreactor_lake.datasets import warehouse
from bioreactor_lake.lake.runs import Run

PROJECT = Path(__file__).parents[2]
WAREHOUSE = (
    "raw.files", "raw.bioreactor", "staging.rejected_readings", "staging.stg_bioreactor",
    "intermediate.int_bioreactor_downsample_5m", "curated.dim_batch", "curated.fact_bioreactor_batch_stats",
    "curated.fact_sample_result",
)  # fmt: skip
TABLES = WAREHOUSE[4:7]  # the table of results is not made of raw files
MARTS = ("marts.mart_bioreactor_overview", "marts.mart_bioreactor_timeline")
UNREACHABLE = "postgresql://lake:hunter2-secret@127.0.0.1:1/lake"


def seen(kedro, **extra: str) -> dict[str, dict]:
    outcome = kedro("lake", "status", "--format", "json", **extra)
    assert outcome.returncode == 0, outcome.stderr
    assert "hunter2" not in outcome.stdout + outcome.stderr
    return {table["table"]: table for table in json.loads(outcome.stdout)}


def freshness(found: dict[str, dict], *tables: str) -> set[str]:
    return {found[table]["freshness"] for table in tables}


@pytest.mark.slow
def test_where_there_is_no_lake_nothing_was_built_and_nothing_is(kedro, environment, tmp_path) -> None:
    before = sorted(tmp_path.rglob("*"))
    found = seen(kedro)
    assert set(found) == {*WAREHOUSE, *MARTS}
    assert freshness(found, *found) == {"never built"}
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_it_says_where_each_table_is_and_how_large(kedro, environment) -> None:
    assert kedro("run").returncode == 0
    found = seen(kedro)
    assert freshness(found, *found) == {"fresh"}
    with duckdb.connect(environment["BIOREACTOR_LAKE_WAREHOUSE"], read_only=True) as connection:
        runs = {run for (run,) in connection.execute("SELECT run_id FROM lake_state.relations").fetchall()}
        for table in WAREHOUSE:
            assert found[table]["rows"] == connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    with psycopg.connect(environment["BIOREACTOR_LAKE_POSTGRES_URL"]) as connection:
        for table in MARTS:
            assert found[table]["rows"] == connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            assert found[table]["size_bytes"] > 8192
            assert found[table]["format"] == "Postgres table"
            assert found[table]["compression"] == "none"
            assert found[table]["place"] == environment["BIOREACTOR_LAKE_POSTGRES_URL"].rpartition("@")[2]
    assert len(runs) == 1
    assert {table["run_id"] for table in found.values()} == runs
    assert all(table["written_at"].endswith("+00:00") for table in found.values())
    series = found["intermediate.int_bioreactor_downsample_5m"]
    assert series["size_bytes"] % 262144 == 0
    assert series["size_bytes"] <= Path(environment["BIOREACTOR_LAKE_WAREHOUSE"]).stat().st_size
    assert "ALP" in series["compression"]
    assert series["place"] == environment["BIOREACTOR_LAKE_WAREHOUSE"]
    raw = PROJECT / "data/01_raw/bioreactor"
    files = list(raw.glob("*.parquet"))
    assert found["raw.bioreactor"]["format"] == f"Parquet, {len(files)} files"
    assert found["raw.bioreactor"]["size_bytes"] == sum(file.stat().st_size for file in files)
    assert found["raw.bioreactor"]["compression"] == "zstd"
    assert Path(found["raw.bioreactor"]["place"]) == raw
    assert found["staging.stg_bioreactor"]["size_bytes"] is None

    lines = kedro("lake", "status").stdout.splitlines()
    for table in found:
        (line,) = [line for line in lines if table in line]
        assert "fresh" in line


@pytest.mark.slow
def test_what_is_behind_what_failed_and_what_cannot_be_reached(kedro, tmp_path) -> None:
    raw = {"BIOREACTOR_LAKE_RAW": str(tmp_path / "raw")}
    simulate = ("lake", "simulate", "--readings", "2000", "--out", raw["BIOREACTOR_LAKE_RAW"], "--batches")
    assert kedro(*simulate, "3").returncode == 0
    assert kedro("run", **raw).returncode == 0
    assert kedro(*simulate, "5").returncode == 0
    assert freshness(seen(kedro, **raw), *WAREHOUSE, *MARTS) == {"fresh"}

    assert kedro("run", "--pipeline", "ingestion", **raw).returncode == 0
    found = seen(kedro, **raw)
    assert freshness(found, *WAREHOUSE[:4]) == {"fresh"}
    assert freshness(found, *TABLES, *MARTS) == {"stale"}
    assert {found[table]["stale_batches"] for table in (*TABLES, *MARTS)} == {2}

    failed = kedro("run", **raw, BIOREACTOR_LAKE_POSTGRES_URL=UNREACHABLE)
    assert failed.returncode == 1
    found = seen(kedro, **raw, BIOREACTOR_LAKE_POSTGRES_URL=UNREACHABLE)
    assert freshness(found, *WAREHOUSE) == {"fresh"}
    assert freshness(found, *MARTS) == {"unreachable"}
    assert "127.0.0.1:1/lake" in found[MARTS[1]]["note"]

    found = seen(kedro, **raw)
    assert {found[mart]["freshness"] for mart in MARTS} == {"failed", "stale"}
    (mart,) = [mart for mart in MARTS if found[mart]["freshness"] == "failed"]
    assert "127.0.0.1:1/lake" in found[mart]["note"]
    assert found[mart]["stale_batches"] == 2
    assert kedro("run", "--pipeline", "marts", **raw).returncode == 0
    assert freshness(seen(kedro, **raw), *WAREHOUSE, *MARTS) == {"fresh"}


def test_a_locked_warehouse_ends_it_as_it_ends_a_run(environment, monkeypatch, held) -> None:
    monkeypatch.setattr(warehouse, "Run", lambda: Run(lock_timeout_seconds=0.5))
    monkeypatch.chdir(PROJECT)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bootstrap_project(PROJECT)
    with held() as pid:
        outcome = CliRunner().invoke(status, [])
        assert outcome.exit_code == 4
        assert f"PID {pid}" in outcome.stderr
