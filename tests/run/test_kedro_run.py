"""`kedro run` from the outside: parts, exit codes, messages, locks and signals."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pytest

PROJECT = Path(__file__).parents[2]
TABLES = (
    "raw.bioreactor",
    "staging.stg_bioreactor",
    "staging.rejected_readings",
    "intermediate.int_bioreactor_downsample_5m",
    "curated.dim_batch",
    "curated.fact_bioreactor_batch_stats",
)
MARTS = ("marts.mart_bioreactor_overview", "marts.mart_bioreactor_timeline")


def contents(warehouse: str, url: str) -> dict[str, pd.DataFrame]:
    """Every table, sorted; read from another folder than the project's."""
    found = {}
    with duckdb.connect(warehouse, read_only=True) as connection:
        for table in TABLES:
            found[table] = connection.execute(f"SELECT * FROM {table} ORDER BY ALL").df()
    with psycopg.connect(url) as connection:
        for table in MARTS:
            cursor = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4")
            found[table] = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])
    return found


@pytest.mark.slow
def test_four_processes_give_what_one_run_gives(kedro, environment, new_database, tmp_path, monkeypatch) -> None:
    whole = kedro("run")
    assert whole.returncode == 0, whole.stderr
    assert "6 batches in the marts" in whole.stdout
    for command in ("kedro viz run", "jupyter lab", "kedro lake psql"):
        assert command in whole.stdout
    monkeypatch.chdir(tmp_path)
    expected = contents(environment["BIOREACTOR_LAKE_WAREHOUSE"], environment["BIOREACTOR_LAKE_POSTGRES_URL"])

    url, apart = new_database(), str(tmp_path / "apart.duckdb")
    refusal = kedro("run", "--pipeline", "curated", BIOREACTOR_LAKE_WAREHOUSE=apart)
    assert refusal.returncode == 1
    assert "staging.stg_bioreactor is not there yet" in refusal.stderr
    assert "kedro run --pipeline staging" in refusal.stderr
    for layer in ("ingestion", "staging", "curated", "marts"):
        there = {"BIOREACTOR_LAKE_WAREHOUSE": apart, "BIOREACTOR_LAKE_POSTGRES_URL": url}
        assert kedro("run", "--pipeline", layer, **there).returncode == 0
    found = contents(apart, url)
    for table, rows in expected.items():
        assert len(rows) or table == "staging.rejected_readings"
        pd.testing.assert_frame_equal(found[table], rows, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--pipeline", "nope"], "nope"),
        (["--from-nodes", "nope"], "nope"),
        (["--env", "nope"], "Use one of: base"),
        (["--async"], "Leave --runner and --async out"),
        (["--runner", "ThreadRunner"], "Leave --runner and --async out"),
    ],
)
def test_what_cannot_be_run_is_a_usage_error(kedro, arguments, says) -> None:
    refused = kedro("run", *arguments)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr


def test_no_raw_file_is_no_failure_and_changes_nothing(kedro, environment, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = kedro("run", BIOREACTOR_LAKE_RAW=str(tmp_path / "empty"))
    assert outcome.returncode == 0
    assert "No raw file was found" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_locked_warehouse_is_waited_for_and_named(kedro, environment, held) -> None:
    with held() as pid:
        outcome = kedro("run", "--pipeline", "ingestion", "--params", "run.lock_timeout_seconds=1")
        assert outcome.returncode == 4
        assert f"PID {pid}" in outcome.stderr
    assert kedro("run", "--pipeline", "ingestion").returncode == 0


@pytest.mark.slow
def test_a_signal_ends_the_run_cleanly(kedro, environment, tmp_path) -> None:
    assert kedro("run").returncode == 0
    before = contents(environment["BIOREACTOR_LAKE_WAREHOUSE"], environment["BIOREACTOR_LAKE_POSTGRES_URL"])
    many = str(tmp_path / "many")
    assert kedro("lake", "simulate", "--batches", "12", "--out", many).returncode == 0
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = subprocess.Popen(
            [sys.executable, "-m", "kedro", "run", "--params", "allow_removal=true,full_refresh=true"],
            cwd=PROJECT, env=environment | {"BIOREACTOR_LAKE_RAW": many}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        for line in process.stdout:
            if "stg_bioreactor" in line:
                break
        time.sleep(0.1)
        process.send_signal(number)
        _, said = process.communicate()
        assert process.returncode == code
        assert "rolled back" in said
        assert "Traceback" not in said
        after = contents(environment["BIOREACTOR_LAKE_WAREHOUSE"], environment["BIOREACTOR_LAKE_POSTGRES_URL"])
        for table in MARTS:
            pd.testing.assert_frame_equal(after[table], before[table], rtol=1e-9)


@pytest.mark.slow
def test_unreachable_postgres_leaves_the_warehouse_valid(kedro, environment) -> None:
    outcome = kedro("run", BIOREACTOR_LAKE_POSTGRES_URL="postgresql://lake:hunter2-secret@127.0.0.1:1/lake")
    assert outcome.returncode == 1
    assert "127.0.0.1:1/lake" in outcome.stderr
    assert "The warehouse is valid" in outcome.stderr
    assert "hunter2" not in outcome.stderr + outcome.stdout
    with duckdb.connect(environment["BIOREACTOR_LAKE_WAREHOUSE"], read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM curated.dim_batch").fetchone() == (6,)
    assert kedro("run", "--pipeline", "marts").returncode == 0
