"""`kedro lake check`: what it says of a lake, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from kedro.framework.startup import bootstrap_project
from tests.increments.lake import PROJECT, Lake, environment

from bioreactor_lake.cli.check import check

START = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=2)


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    put(lake, "B-1", 7.0)
    put(lake, "B-2", 7.1)
    yield lake
    lake.drop()


def put(lake: Lake, batch: str, *values: float, file: str = "", tag: str = "ph") -> None:
    rows = [(batch, "R-1", tag, START + timedelta(minutes=i), value) for i, value in enumerate(values * 12)]
    lake.put(file or f"{batch}.parquet", rows)


def asked(lake: Lake, *arguments: str) -> Result:
    with environment(lake):
        bootstrap_project(PROJECT)
        return CliRunner().invoke(check, arguments)


def test_a_good_lake_is_as_expected_and_nothing_is_written(lake: Lake) -> None:
    lake.run()
    before = lake.warehouse.read_bytes()
    result = asked(lake)
    assert result.exit_code == 0, result.output
    assert "all as expected" in result.output
    assert lake.warehouse.read_bytes() == before
    assert [*lake.warehouse.parent.glob("*.wal")] == []


@pytest.mark.slow
def test_bad_batches_are_named_with_samples(lake: Lake) -> None:
    put(lake, "B-3", 7.0, 14.5)  # no pH
    put(lake, "B-4", 7.0, tag="redox")
    put(lake, "B-1", 7.0, file="again.parquet")  # delivered twice
    lake.run()
    result = asked(lake, "stg_bioreactor")
    assert result.exit_code == 3
    for said in (
        "12 of 24 rows", "14.5", "stg_bioreactor, values_are_physical (error)", "again.parquet", "redox",
        "readings_are_in_one_file", "values_are_physical.unknown_tags",
    ):  # fmt: skip
        assert said in result.output, result.output
    found = json.loads(asked(lake, "staging.stg_bioreactor", "--format", "json").stdout)
    failed = {(one["expectation_id"], one["batch"]) for one in found if not one["success"]}
    assert failed == {
        ("values_are_physical", "B-3"), ("readings_are_in_one_file", "B-1"),
        ("values_are_physical.unknown_tags", "B-4"),
    }  # fmt: skip
    assert {one["rows"] for one in found if one["expectation_id"] == "values_are_physical"} == {24, 12, 0}
    # Only of what is asked about; a warning is no error.
    assert asked(lake, "stg_bioreactor", "--batch", "B-4").exit_code == 0
    assert asked(lake, "stg_bioreactor", "--batch", "B-4", "--batch", "B-3").exit_code == 3


@pytest.mark.slow
def test_what_others_did_to_a_mart_is_found(lake: Lake) -> None:
    lake.run()
    with psycopg.connect(lake.database) as connection:
        connection.execute("DELETE FROM marts.mart_bioreactor_overview WHERE batch_id = 'B-2'")
        connection.execute("UPDATE marts.mart_bioreactor_timeline SET reading_count = 99 WHERE batch_id = 'B-1'")
    found = json.loads(asked(lake, "--format", "json").stdout)
    assert {(one["table"], one["expectation_id"], one["batch"]) for one in found if not one["success"]} == {
        ("mart_bioreactor_overview", "rows_are_those_of_the_warehouse", "B-2"),
        ("mart_bioreactor_overview", "readings_are_those_of_the_warehouse", "B-2"),
        ("mart_bioreactor_timeline", "readings_are_those_of_the_warehouse", "B-1"),
    }


@pytest.mark.slow
def test_old_data_is_warned_of_and_an_error_in_production(lake: Lake) -> None:
    rows = [("B-0", "R-1", "ph", datetime(2026, 1, 1) + timedelta(minutes=i), 7.0) for i in range(12)]
    for path in lake.raw.glob("*.parquet"):
        path.unlink()
    lake.put("B-0.parquet", rows)
    lake.run()
    assert asked(lake, "dim_batch").exit_code == 0
    assert "newest 2026-01-01" in asked(lake, "dim_batch").output
    assert asked(lake, "dim_batch", "--env", "prod").exit_code == 3


@pytest.mark.slow
def test_a_lake_that_is_built_in_part_is_asked_in_part(lake: Lake) -> None:
    assert asked(lake).exit_code == 1  # there is nothing to ask
    lake.run("ingestion", "staging")
    result = asked(lake)
    assert result.exit_code == 0, result.output
    assert "curated.dim_batch is not there yet" in result.output
    assert asked(lake, "dim_batch").exit_code == 1
    for mistake, said in (
        (["stg_biorector"], "Did you mean stg_bioreactor"),
        (["rejected_readings"], "There is no suite of rejected_readings"),
        (["--batch", "B-9"], "B-9"),
    ):
        result = asked(lake, *mistake)
        assert result.exit_code == 2
        assert said in result.output


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_no_verdict(lake: Lake) -> None:
    lake.run()
    database, lake.database = lake.database, "postgresql://lake:hunter2-secret@127.0.0.1:1/lake"
    result = asked(lake, "mart_bioreactor_overview")
    lake.database = database
    assert result.exit_code == 1
    assert "127.0.0.1:1/lake" in result.output
    assert "hunter2" not in result.output
