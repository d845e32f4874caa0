"""`marts.mart_data_quality`: what every check found, over all runs, and what is so now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import ibis
import psycopg
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from psycopg.rows import dict_row
from tests.increments.lake import PROJECT, Lake, environment

from bioreactor_lake.pipelines.curated.nodes import describe_batches

NOWHERE = "postgresql://lake@127.0.0.1:1/lake"
Row = dict[str, Any]


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    lake.checkpoints = True
    for day in (1, 2, 3):
        put(lake, day)
    yield lake
    lake.drop()


def put(lake: Lake, day: int, ph: float = 7.0) -> None:
    start = datetime(2026, 1, 1) + timedelta(days=day)
    values = {"ph": ph, "do": 40.0, "temperature": 36.8}
    rows = [
        (f"B-{day}", "BR-1", tag, start + timedelta(minutes=3 * i), values[tag]) for i in range(5) for tag in values
    ]
    lake.put(f"B-{day}.parquet", rows)


def put_now(lake: Lake) -> None:
    start = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
    lake.put("B-9.parquet", [("B-9", "BR-1", "ph", start + timedelta(minutes=i), 7.0) for i in range(12)])


def published(lake: Lake, condition: str = "true") -> list[Row]:
    with psycopg.connect(lake.database, row_factory=dict_row) as connection:
        order = "checked_at, table_name, expectation, batch_id"
        query = f"SELECT * FROM marts.mart_data_quality WHERE {condition} ORDER BY {order}"
        return connection.execute(query).fetchall()


def failing_now(lake: Lake) -> set[tuple[str, str, str | None]]:
    found = published(lake, "fails_now AND severity <> 'warn'")
    return {(row["table_name"], row["expectation"], row["batch_id"]) for row in found}


def found(lake: Lake) -> int:
    """Runs with results in the warehouse."""
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        (count,) = connection.execute("SELECT count(DISTINCT run_id) FROM quality.results").fetchone()
        return count


@pytest.mark.slow
def test_it_says_what_is_so_now_and_how_it_went(lake: Lake) -> None:
    put(lake, 2, ph=99)
    first = lake.run()
    assert list(first.held) == ["B-2"]
    bad = ("staging.stg_bioreactor", "values_are_physical", "B-2")
    assert failing_now(lake) == {bad}
    (batch,) = published(lake, "batch_id IS NOT NULL AND expectation = 'values_are_physical'")
    assert (batch["suite"], batch["verdict"], batch["severity"]) == ("stg_bioreactor", "failed", "error")
    assert (batch["rows"], batch["failing_rows"], batch["observed"], len(batch["samples"])) == (15, 5, 1 / 3, 5)
    assert {one["value"] for one in batch["samples"]} == {99.0}
    assert batch["run_id"] == first.run_id
    (whole,) = published(lake, "batch_id IS NULL AND expectation = 'values_are_physical'")
    assert (whole["batches"], whole["failing_batches"], whole["sentence"]) == (3, 1, "1 of 3 batches fail")
    before = published(lake)
    lake.run()
    assert published(lake) == before  # there is no news
    assert failing_now(lake) == {bad}
    put(lake, 4)
    lake.run()
    assert failing_now(lake) == {bad}
    (whole,) = published(lake, "is_current AND batch_id IS NULL AND expectation = 'values_are_physical'")
    assert (whole["verdict"], whole["batches"]) == ("passed", 1)  # it was asked of another batch
    put(lake, 2)
    lake.run()
    assert failing_now(lake) == set()
    assert {row["run_id"] for row in before} < {row["run_id"] for row in published(lake)}
    with environment(lake):
        bootstrap_project(PROJECT)
        with KedroSession.create(project_path=PROJECT, save_on_close=False) as session:
            catalog = session.load_context().catalog
            assert catalog["mart_data_quality"].load().count().execute() == len(published(lake))
            assert catalog["mart_set_aside"].load().count().execute() == 0
            for mart in (catalog["mart_data_quality"], catalog["mart_run_history"], catalog["mart_set_aside"]):
                with pytest.raises(Exception, match="written by the runs themselves"):
                    mart.save(mart.load())
    keys = [(row["table_name"], row["expectation"], row["batch_id"]) for row in published(lake, "is_current")]
    assert len(keys) == len(set(keys)) > 40


@pytest.mark.slow
def test_what_could_not_be_published_waits(lake: Lake) -> None:
    reachable, lake.database = lake.database, NOWHERE
    put(lake, 2, ph=99)
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1/lake"):
        lake.run()
    lake.database = reachable
    put(lake, 2)
    lake.run()
    assert len({row["run_id"] for row in published(lake)}) == found(lake) == 2
    assert failing_now(lake) == set()
    assert [row["batch_id"] for row in published(lake, "batch_id IS NOT NULL AND severity = 'error'")] == ["B-2"]


def missing_equipment(stg_bioreactor: ibis.Table, batch_sheets: ibis.Table) -> ibis.Table:
    return describe_batches(stg_bioreactor, batch_sheets).drop("equipment_count")


@pytest.mark.slow
def test_what_stops_a_run_is_seen_at_once(lake: Lake) -> None:
    lake.logic["curated.describe_batches"] = missing_equipment
    with pytest.raises(Exception, match="equipment_count"):
        lake.run()
    (row,) = published(lake, "is_current AND verdict = 'unanswered'")
    assert (row["table_name"], row["expectation"]) == ("curated.dim_batch", "has_equipment")
    assert "no column equipment_count" in row["sentence"]
    lake.logic.clear()
    lake.run()
    assert failing_now(lake) == set()
    assert published(lake, "is_current AND verdict = 'unanswered'") == []


@pytest.mark.slow
def test_grants_views_and_other_lakes(lake: Lake) -> None:
    lake.run()
    with psycopg.connect(lake.database, autocommit=True) as connection:
        connection.execute("CREATE VIEW public.mine AS SELECT run_id FROM marts.mart_data_quality WHERE is_current")
        connection.execute("GRANT SELECT ON marts.mart_data_quality TO pg_monitor")
        lake.run(full_refresh=True)
        (grants,) = connection.execute(
            "SELECT relacl::text FROM pg_class WHERE oid = 'marts.mart_data_quality'::regclass"
        ).fetchone()
        assert "pg_monitor=r" in grants
        assert connection.execute("SELECT count(*) > 0 FROM public.mine").fetchone() == (True,)
        (undescribed,) = connection.execute(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'marts.mart_data_quality'::regclass AND attnum >= 0 "
            "AND col_description(attrelid, attnum) IS NULL"
        ).fetchone()
        assert undescribed == 0
        # A database that was restored or is new gets all of it.
        before = published(lake)
        connection.execute("DELETE FROM marts.mart_data_quality WHERE run_id = (SELECT max(run_id) FROM public.mine)")
        lake.run(full_refresh=True)
        assert {row["run_id"] for row in before} < {row["run_id"] for row in published(lake)}
        connection.execute("DROP TABLE marts.mart_data_quality CASCADE")
        lake.run(full_refresh=True)
        assert len({row["run_id"] for row in published(lake)}) == found(lake)
        # What another lake has put there goes when its marts are taken over.
        mine = published(lake)
        connection.execute("UPDATE lake.identity SET lake_id = 'another'")
        connection.execute("UPDATE lake.marts SET logic = 'another' WHERE mart = 'marts.mart_data_quality'")
        connection.execute("UPDATE marts.mart_data_quality SET run_id = 'of another ' || run_id")
        with pytest.raises(Exception, match="another lake"):
            lake.run(full_refresh=True)
        assert {row["run_id"][:10] for row in published(lake)} == {"of another"}
        lake.run("marts", take_over=True, full_refresh=True)
        assert {row["run_id"] for row in published(lake)} > {row["run_id"] for row in mine}
        assert "of another" not in {row["run_id"][:10] for row in published(lake)}


@pytest.mark.slow
def test_a_locked_table_holds_up_no_run_for_long(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    lake.run()
    with psycopg.connect(lake.database) as connection:
        connection.execute("LOCK TABLE marts.mart_data_quality IN ACCESS EXCLUSIVE MODE")
        lake.run(full_refresh=True)
    assert "marts.mart_data_quality" in caplog.text
    lake.run(full_refresh=True)
    assert len({row["run_id"] for row in published(lake)}) == found(lake) == 3


@pytest.mark.slow
def test_what_only_the_clock_changes_is_told_when_it_changes(lake: Lake) -> None:
    lake.run()
    (old,) = published(lake, "expectation = 'newest_batch'")
    assert (old["verdict"], old["severity"]) == ("failed", "warn")
    put_now(lake)
    lake.run()
    lake.run()
    verdicts = [row["verdict"] for row in published(lake, "expectation = 'newest_batch'")]
    assert verdicts == ["failed", "passed"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioreactor_lake.quality.value_questions.timedelta", lambda hours: timedelta(hours=hours - 24))
        for _ in range(2):
            lake.run()
    rows = published(lake, "expectation = 'newest_batch'")
    assert [(row["verdict"], row["is_current"]) for row in rows] == [
        ("failed", False),
        ("passed", False),
        ("failed", True),
    ]


@pytest.mark.slow
def test_a_batch_that_is_gone_fails_nothing(lake: Lake) -> None:
    put(lake, 2, ph=99)
    lake.run()
    (lake.raw / "B-2.parquet").unlink()
    lake.run(allow_removal=True)
    assert published(lake, "is_current AND batch_id = 'B-2'") == []
    assert failing_now(lake) == set()
    # A suite that is taken away, and one that asks for something else.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioreactor_lake.quality.configuration.load_suites", lambda loader: {})
        lake.run()
        assert published(lake, "is_current") == []
    lake.run()
    assert published(lake, "is_current") != []
