"""What fails an error of a suite is not published: the batch keeps its last good rows, and all others go on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import ibis
import pandas as pd
import psycopg
import pytest
from tests.increments.lake import MARTS, Lake
from tests.increments.variants import beside_the_longest_batch
from tests.increments.watching import watching

from bioreactor_lake.pipelines.curated.nodes import describe_batches
from bioreactor_lake.pipelines.marts.nodes import build_overview


def readings(batch: str, day: int, ph: float = 7.0) -> list[tuple[str, str, str, datetime, float | None]]:
    start = datetime(2026, 1, 1) + timedelta(days=day)
    values = {"ph": ph, "do": 40.0, "temperature": 36.8}
    return [
        (batch, "BR-1", tag, start + timedelta(minutes=3 * i), value) for i in range(5) for tag, value in values.items()
    ]


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    lake.checkpoints = True
    for day in (1, 2, 3):
        lake.put(f"B-{day}.parquet", readings(f"B-{day}", day))
    yield lake
    lake.drop()


def rows(lake: Lake, batch: str) -> dict[str, pd.DataFrame]:
    marts = lake.marts()
    return {mart: marts[mart][marts[mart].batch_id == batch].reset_index(drop=True) for mart in MARTS}


def assert_same(before: dict[str, pd.DataFrame], after: dict[str, pd.DataFrame]) -> None:
    for mart, expected in before.items():
        pd.testing.assert_frame_equal(after[mart], expected, obj=mart)


def test_a_batch_with_an_impossible_value_is_held_and_the_others_are_published(lake: Lake) -> None:
    lake.put("B-2.parquet", readings("B-2", 2, ph=99))
    run = lake.run()
    assert list(run.held) == ["B-2"]
    assert any("staging.stg_bioreactor: values_are_physical: 5 of 15 rows" in reason for reason in run.held["B-2"])
    assert all(found.empty for found in rows(lake, "B-2").values())
    assert all(len(found) for found in rows(lake, "B-1").values())
    lake.put("B-2.parquet", readings("B-2", 2))
    assert lake.run().held == {}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_readers_never_see_a_bad_number(lake: Lake) -> None:
    good = frozenset(
        (tag, value, value, value, 5) for tag, value in {"ph": 7.0, "do": 40.0, "temperature": 36.8}.items()
    )
    with watching(lake.database, dict.fromkeys(("B-1", "B-2", "B-3", "B-4"), (good,))) as sightings:
        lake.run()
        before = rows(lake, "B-2")
        lake.put("B-2.parquet", readings("B-2", 2, ph=99))
        lake.put("B-4.parquet", readings("B-4", 4))
        assert list(lake.run().held) == ["B-2"]
        assert_same(before, rows(lake, "B-2"))
        assert all(len(found) for found in rows(lake, "B-4").values())
        # In another process, layer by layer, and as a whole.
        assert list(lake.run("marts").held) == ["B-2"]
        assert list(lake.run(full_refresh=True).held) == ["B-2"]
        assert_same(before, rows(lake, "B-2"))
    assert sightings.wrong == []
    assert sightings.counts == {mart: [3, 4] for mart in MARTS}
    lake.assert_equals_fresh_build(["B-2"], lake.marts())


@pytest.mark.slow
def test_a_file_that_was_delivered_twice_holds_its_batch(lake: Lake) -> None:
    lake.put("again/B-2.parquet", readings("B-2", 2))
    run = lake.run()
    assert list(run.held) == ["B-2"]
    assert any("readings_are_in_one_file" in reason for reason in run.held["B-2"])


@pytest.mark.slow
def test_only_what_changed_is_checked(lake: Lake) -> None:
    lake.run()
    query = "SELECT table_name, batch_id, checked_at FROM quality.checked WHERE batch_id <> '' ORDER BY ALL"
    with lake.open_warehouse() as connection:
        before = set(connection.execute(query).fetchall())
    assert {table for table, *_ in before} >= {"staging.stg_bioreactor", "curated.dim_batch", f"marts.{MARTS[0]}"}
    lake.put("B-2.parquet", readings("B-2", 2, ph=7.2))
    lake.run()
    lake.run()
    with lake.open_warehouse() as connection:
        after = set(connection.execute(query).fetchall())
    assert {batch for _, batch, _ in after - before} == {"B-2"}
    assert len(after) == len(before)


@pytest.mark.slow
def test_a_release_counts_for_the_checked_data(lake: Lake) -> None:
    lake.put("B-2.parquet", readings("B-2", 2, ph=99))
    lake.run()
    done = lake.run_command("lake", "release", "B-2", "--reason", "the probe was calibrated afterwards")
    assert done.returncode == 0, done.stdout + done.stderr
    # The marts fail checks of their own, of the same data.
    assert lake.run("marts").held == {}
    assert rows(lake, "B-2")["mart_bioreactor_overview"].avg_value.max() == 99
    lake.put("B-2.parquet", readings("B-2", 2, ph=98))
    assert list(lake.run().held) == ["B-2"]


def spoiled(dim_batch: ibis.Table, fact_bioreactor_batch_stats: ibis.Table, rules: object) -> ibis.Table:
    """A rule of the mart that spoils one batch: only the mart can show it."""
    overview = build_overview(dim_batch, fact_bioreactor_batch_stats, rules)
    factor = (overview.batch_id == "B-2").ifelse(1000.0, 1.0)
    return overview.mutate(avg_value=overview.avg_value * factor)


def spoiled_more(dim_batch: ibis.Table, fact_bioreactor_batch_stats: ibis.Table, rules: object) -> ibis.Table:
    overview = spoiled(dim_batch, fact_bioreactor_batch_stats, rules)
    return overview.mutate(avg_value=overview.avg_value + 1)


def spoiled_shares(dim_batch: ibis.Table, fact_bioreactor_batch_stats: ibis.Table, rules: object) -> ibis.Table:
    """The same in a mart that is computed over several batches."""
    overview = spoiled(dim_batch, fact_bioreactor_batch_stats, rules)
    return overview.mutate(duration_hours=overview.duration_hours / overview.duration_hours.max())


def one_reading_more(stg_bioreactor: ibis.Table, batch_sheets: ibis.Table) -> ibis.Table:
    dim_batch = describe_batches(stg_bioreactor, batch_sheets)
    return dim_batch.mutate(reading_count=dim_batch.reading_count + 1)


@pytest.mark.slow
def test_a_mart_is_checked_before_anybody_sees_it(lake: Lake) -> None:
    lake.run()
    before = rows(lake, "B-2")
    lake.logic["marts.build_overview"] = spoiled
    run = lake.run()  # the mart as a whole
    assert list(run.held) == ["B-2"]
    assert_same(before, rows(lake, "B-2"))
    lake.put("B-2.parquet", readings("B-2", 2, ph=7.4))
    lake.put("B-3.parquet", readings("B-3", 3, ph=7.4))
    assert list(lake.run().held) == ["B-2"]  # two batches of it
    assert rows(lake, "B-2")["mart_bioreactor_overview"].equals(before["mart_bioreactor_overview"])
    assert rows(lake, "B-3")["mart_bioreactor_overview"].query("tag == 'ph'").avg_value.tolist() == [pytest.approx(7.4)]
    with psycopg.connect(lake.database) as connection:
        assert connection.execute(
            "SELECT count(*) FROM marts.mart_bioreactor_overview WHERE avg_value > 1000"
        ).fetchone() == (0,)
    lake.logic.clear()
    assert lake.run().held == {}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_batch_that_only_a_mart_holds_can_be_released(lake: Lake) -> None:
    lake.logic["marts.build_overview"] = spoiled
    run = lake.run()
    assert list(run.held) == ["B-2"]
    assert all(reason.startswith("marts.mart_bioreactor_overview") for reason in run.held["B-2"])
    holds = lake.release("B-2")["B-2"]
    assert [hold.batch for hold in holds] == ["B-2"]
    assert lake.run("marts").held == {}
    lake.logic["marts.build_overview"] = spoiled_more
    assert list(lake.run("marts").held) == ["B-2"]  # other logic, another state


@pytest.mark.slow
def test_a_table_that_fails_does_so_in_every_run_until_it_is_mended(lake: Lake) -> None:
    lake.logic["curated.describe_batches"] = one_reading_more
    first, second = lake.run(), lake.run()
    for run in (first, second):
        assert "readings_are_those_of_the_manifest" in run.failing_tables["curated.dim_batch"][0]
    lake.logic.clear()
    assert lake.run().failing_tables == {}


@pytest.mark.slow
def test_a_mart_over_several_batches_leaves_out_one_after_the_other(lake: Lake) -> None:
    lake.put("B-1.parquet", readings("B-1", 1, ph=99))
    lake.logic["marts.build_overview"] = spoiled_shares
    run = lake.run()
    assert list(run.held) == ["B-1", "B-2"]
    assert set(lake.marts()["mart_bioreactor_overview"].batch_id) == {"B-3"}
    assert list(lake.run().held) == ["B-1", "B-2"]


def test_what_no_suite_asks_for_holds_nothing(lake: Lake) -> None:
    lake.put("B-2.parquet", readings("B-2", 2, ph=99))
    assert list(lake.run().held) == ["B-2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioreactor_lake.quality.configuration.load_suites", lambda loader: {})
        assert lake.run("marts").held == {}


@pytest.mark.slow
def test_checks_can_be_left_out(lake: Lake) -> None:
    lake.put("B-2.parquet", readings("B-2", 2, ph=99))
    assert lake.run(checkpoints=False).held == {}
    assert rows(lake, "B-2")["mart_bioreactor_overview"].avg_value.max() == 99
    assert list(lake.run().held) == ["B-2"]
    assert list(lake.run(checkpoints=False).held) == ["B-2"]  # what failed before is still known


def at_most(limit: float, column: str, severity: str = "error") -> dict[str, object]:
    return {
        "low": {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": column, "max_value": limit},
            "severity": severity,
        }
    }


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column"), [("stg_bioreactor", "value"), ("mart_bioreactor_overview", "max_value")])
def test_a_suite_that_changes_is_asked_of_what_is_there(lake: Lake, table: str, column: str) -> None:
    lake.put("B-2.parquet", readings("B-2", 2, ph=60))
    lake.suites = {table: at_most(50, column)}
    assert list(lake.run().held) == ["B-2"]
    assert rows(lake, "B-2")["mart_bioreactor_overview"].empty
    lake.suites = {table: at_most(50, column, "warn")}
    assert lake.run().held == {}  # milder
    assert len(rows(lake, "B-2")["mart_bioreactor_overview"]) == 3
    lake.suites = {table: at_most(50, column)}
    run = lake.run()  # stricter: it is said, and readers keep what was published
    assert list(run.held) == ["B-2"]
    assert "5 of 15 rows" in run.held["B-2"][0] or "1 of 3 rows" in run.held["B-2"][0]
    assert len(rows(lake, "B-2")["mart_bioreactor_overview"]) == 3
    assert list(lake.run().held) == ["B-2"]
    lake.suites = {table: at_most(70, column)}
    assert lake.run().held == {}  # wider
    lake.put("B-2.parquet", readings("B-2", 2, ph=80))
    assert list(lake.run().held) == ["B-2"]
    assert rows(lake, "B-2")["mart_bioreactor_overview"].max_value.max() == 60


@pytest.mark.slow
def test_what_could_not_be_found_out_is_asked_again(lake: Lake) -> None:
    suite = {"type": "expect_column_values_to_exist_in_other_table", "kwargs": {"column": "batch_id"}}
    suite["kwargs"]["other_table_name"] = "mart_bioreactor_overview"
    lake.suites = {"dim_batch": {"published": suite}}
    with pytest.raises(Exception, match="could not be checked"):
        lake.run()  # there is no mart yet
    lake.run(checkpoints=False)
    assert lake.run().held == {}


@pytest.mark.slow
def test_what_failed_is_not_published_by_layers_that_lag_behind(lake: Lake) -> None:
    lake.run()
    before = rows(lake, "B-2")
    lake.put("B-2.parquet", readings("B-2", 2, ph=99))
    assert list(lake.run().held) == ["B-2"]
    lake.put("B-2.parquet", readings("B-2", 2, ph=7.2))
    lake.put("B-4.parquet", readings("B-4", 4))
    lake.run("ingestion", "staging")  # which pass now, while the tables above hold what failed
    run = lake.run("marts")
    assert list(run.held) == ["B-2"]
    assert "curated.dim_batch holds an earlier state of it" in run.held["B-2"][0]
    assert_same(before, rows(lake, "B-2"))
    assert list(lake.run("marts", full_refresh=True).held) == ["B-2"]
    assert_same(before, rows(lake, "B-2"))
    assert lake.run().held == {}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_verdict_is_about_the_files_that_were_taken_in(lake: Lake) -> None:
    lake.put("B-2.parquet", readings("B-2", 2, ph=60))
    lake.suites = {"stg_bioreactor": at_most(50, "value")}
    assert list(lake.run().held) == ["B-2"]
    lake.put("B-2.parquet", readings("B-2", 2, ph=7))
    lake.suites = {"stg_bioreactor": at_most(51, "value")}
    with pytest.raises(Exception, match=r"B-2\.parquet changed since it was inspected"):
        lake.run("marts")
    assert rows(lake, "B-2")["mart_bioreactor_overview"].empty


@pytest.mark.slow
def test_batches_under_names_of_the_mart_are_held_as_well(lake: Lake) -> None:
    lake.logic["marts.build_overview"] = beside_the_longest_batch
    lake.put("B-1.parquet", readings("B-1", 1, ph=60))
    lake.put("B-2.parquet", readings("B-2", 2, ph=60))
    lake.suites = {"mart_bioreactor_overview": at_most(50, "avg_value")}
    assert list(lake.run().held) == ["(B-1)", "(B-2)"]
    assert set(lake.marts()["mart_bioreactor_overview"].batch_id) == {"(B-3)"}
    assert list(lake.run().held) == ["(B-1)", "(B-2)"]
    lake.release("(B-2)")
    assert list(lake.run().held) == ["(B-1)"]
    assert set(lake.marts()["mart_bioreactor_overview"].batch_id) == {"(B-2)", "(B-3)"}
    lake.suites = {"mart_bioreactor_overview": at_most(70, "avg_value")}
    assert lake.run().held == {}
    assert set(lake.marts()["mart_bioreactor_overview"].batch_id) == {"(B-1)", "(B-2)", "(B-3)"}
    lake.suites = {"mart_bioreactor_overview": at_most(50, "avg_value")}
    assert "(B-1)" in lake.run().held
