"""Batches that are held keep what was last published of them, whatever else a run publishes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ibis
import pandas as pd
import psycopg
import pytest
from tests.increments.lake import MARTS, Lake, readings
from tests.increments.variants import beside_the_largest_of_all, with_a_range


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    for number in (1, 2, 3):
        lake.put(f"B-{number}.parquet", readings(f"B-{number}", number))
    yield lake
    lake.drop()


def damage(lake: Lake, name: str, more: bytes = b"") -> None:
    """A newer version of a file that was cut off on its way."""
    path = lake.raw / name
    path.write_bytes(path.read_bytes()[:100] + more)


def rows(lake: Lake, batch: str) -> dict[str, pd.DataFrame]:
    tables = lake.tables()
    return {mart: tables[mart][tables[mart].batch_id == batch].reset_index(drop=True) for mart in MARTS}


def assert_same(before: dict[str, pd.DataFrame], after: dict[str, pd.DataFrame]) -> None:
    for mart, expected in before.items():
        pd.testing.assert_frame_equal(after[mart], expected, obj=mart)


def release(lake: Lake, batch: str) -> None:
    done = lake.run_command("lake", "release", batch, "--reason", "checked against the batch sheet")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_batch_whose_newest_file_is_damaged_keeps_its_rows(lake: Lake) -> None:
    lake.run()
    before = rows(lake, "B-2")
    damage(lake, "B-2.parquet")
    lake.put("B-4.parquet", readings("B-4", 4))
    run = lake.run()
    assert list(run.held) == ["B-2"]
    assert "B-2.parquet is quarantined" in run.held["B-2"][0]
    assert_same(before, rows(lake, "B-2"))
    assert len(rows(lake, "B-4")["mart_bioreactor_overview"])
    # The warehouse says what the accepted files say.
    assert "B-2" not in set(lake.tables()["curated.dim_batch"].batch_id)
    assert list(lake.run().held) == ["B-2"]
    lake.put("B-2.parquet", readings("B-2", 2, count=9))
    assert lake.run().held == {}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_the_command_says_what_is_held_and_ends_with_3(lake: Lake) -> None:
    lake.run()
    damage(lake, "B-2.parquet")
    done = lake.run_command("run")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "1 batch is held; readers go on seeing what was last published, or nothing:" in done.stderr
    assert "B-2  The newest version of B-2.parquet is quarantined" in done.stderr
    assert "kedro lake release B-2 --reason" in done.stderr
    planned = lake.run_command("lake", "plan").stdout
    assert "marts.mart_bioreactor_overview: 1 batches held: B-2" in planned
    assert "1 held: B-2" in lake.run_command("lake", "status").stdout


@pytest.mark.slow
def test_a_mart_that_is_written_as_a_whole_keeps_held_rows(lake: Lake) -> None:
    lake.run()
    before = rows(lake, "B-2")
    damage(lake, "B-2.parquet")
    lake.logic["marts.build_overview"] = with_a_range
    assert list(lake.run().held) == ["B-2"]
    after = rows(lake, "B-2")
    assert after["mart_bioreactor_overview"]["range"].isna().all()
    after["mart_bioreactor_overview"] = after["mart_bioreactor_overview"].drop(columns="range")
    assert_same(before, after)
    assert rows(lake, "B-1")["mart_bioreactor_overview"]["range"].notna().all()
    assert list(lake.run(full_refresh=True).held) == ["B-2"]
    after = rows(lake, "B-2")
    after["mart_bioreactor_overview"] = after["mart_bioreactor_overview"].drop(columns="range")
    assert_same(before, after)
    lake.put("B-2.parquet", readings("B-2", 2))
    lake.run()
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_batch_that_was_never_published_is_absent_while_it_is_held(lake: Lake) -> None:
    lake.run("ingestion")
    damage(lake, "B-2.parquet")
    assert list(lake.run().held) == ["B-2"]
    assert all(found.empty for found in rows(lake, "B-2").values())
    assert all(len(found) for found in rows(lake, "B-1").values())


@pytest.mark.slow
def test_a_release_counts_for_the_data_that_were_seen(lake: Lake) -> None:
    lake.put("B-2-more.parquet", readings("B-2", 5, count=3))
    lake.run()
    damage(lake, "B-2-more.parquet")
    assert list(lake.run().held) == ["B-2"]
    release(lake, "B-2")
    assert lake.run("marts").held == {}
    # Only the readings of the file that can be read.
    assert rows(lake, "B-2")["mart_bioreactor_overview"].reading_count.sum() == 6
    with lake.open_warehouse() as connection:
        found = connection.execute("SELECT DISTINCT batch_id, reason FROM quality.releases").fetchall()
    ((batch, reason),) = found
    assert (batch, reason) == ("B-2", "checked against the batch sheet")
    damage(lake, "B-2-more.parquet", b"other bytes")
    assert list(lake.run().held) == ["B-2"]


@pytest.mark.slow
def test_only_held_batches_are_released_and_only_with_a_reason(lake: Lake) -> None:
    lake.run()
    done = lake.run_command("lake", "release", "B-1", "--reason", "why not")
    assert done.returncode == 2
    assert "B-1 is not held" in done.stderr
    assert lake.run_command("lake", "release", "B-1").returncode == 2


@pytest.mark.slow
def test_to_release_a_batch_that_no_file_can_be_read_of_takes_it_away_and_says_so(lake: Lake) -> None:
    lake.run()
    damage(lake, "B-2.parquet")
    lake.run()
    done = lake.run_command("lake", "release", "B-2", "--reason", "the instrument was not in use")
    assert (done.returncode, "takes its rows out of the marts" in done.stdout) == (0, True), done.stdout + done.stderr
    assert lake.run().held == {}
    assert len(rows(lake, "B-2")["mart_bioreactor_overview"]) == 0


@pytest.mark.slow
def test_a_batch_whose_damaged_file_is_taken_away_goes(lake: Lake) -> None:
    lake.run()
    damage(lake, "B-2.parquet")
    lake.run()
    (lake.raw / "B-2.parquet").unlink()
    assert lake.run(allow_removal=True).held == {}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_named_batch_that_is_held_stays_as_it_is(lake: Lake) -> None:
    lake.put("B-2-more.parquet", readings("B-2", 5, count=3))
    lake.run()
    before = rows(lake, "B-2")
    damage(lake, "B-2-more.parquet")
    assert list(lake.run_batches("B-2", "B-1").held) == ["B-2"]
    assert_same(before, rows(lake, "B-2"))


def share_of_all(dim_batch: ibis.Table, fact_bioreactor_batch_stats: ibis.Table, rules: object) -> ibis.Table:
    from bioreactor_lake.pipelines.marts.nodes import build_overview

    overview = build_overview(dim_batch, fact_bioreactor_batch_stats, rules)
    return overview.mutate(avg_value=overview.avg_value / overview.avg_value.sum())


@pytest.mark.slow
def test_what_is_computed_over_several_batches_leaves_held_ones_out(lake: Lake) -> None:
    lake.put("B-2-more.parquet", readings("B-2", 5, count=3))
    lake.logic["marts.build_overview"] = share_of_all
    lake.run()
    before = rows(lake, "B-2")
    damage(lake, "B-2-more.parquet")
    lake.run()
    assert_same(before, rows(lake, "B-2"))
    with psycopg.connect(lake.database) as connection:
        (others,) = connection.execute(
            "SELECT sum(avg_value) FROM marts.mart_bioreactor_overview WHERE batch_id <> 'B-2'"
        ).fetchone()
    assert others == pytest.approx(1)
    assert list(lake.run().held) == ["B-2"]
    lake.put("B-2-more.parquet", readings("B-2", 5, count=3))
    assert lake.run().held == {}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_table_below_that_is_computed_over_all_batches_may_have_a_held_one(lake: Lake) -> None:
    lake.logic["curated.summarise_tags"] = beside_the_largest_of_all
    lake.run()
    before = rows(lake, "B-3")
    damage(lake, "B-3.parquet")
    assert list(lake.run().held) == ["B-3"]
    assert_same(before, rows(lake, "B-3"))
    lake.put("B-3.parquet", readings("B-3", 3))
    lake.run()
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_release_does_not_outlive_the_mend(lake: Lake) -> None:
    lake.run()
    before = rows(lake, "B-2")
    good = (lake.raw / "B-2.parquet").read_bytes()
    (lake.raw / "B-2.parquet").write_bytes(b"")
    lake.run()
    release(lake, "B-2")
    assert lake.run("marts").held == {}
    assert all(found.empty for found in rows(lake, "B-2").values())
    (lake.raw / "B-2.parquet").write_bytes(good)
    assert lake.run().held == {}
    assert_same(before, rows(lake, "B-2"))
    (lake.raw / "B-2.parquet").write_bytes(b"")
    assert list(lake.run().held) == ["B-2"]
    assert_same(before, rows(lake, "B-2"))


def as_text(dim_batch: ibis.Table, fact_bioreactor_batch_stats: ibis.Table, rules: object) -> ibis.Table:
    from bioreactor_lake.pipelines.marts.nodes import build_overview

    overview = build_overview(dim_batch, fact_bioreactor_batch_stats, rules)
    return overview.mutate(source_file_count="x" + overview.source_file_count.cast("string"))


@pytest.mark.slow
def test_a_column_that_becomes_a_number_again_is_published(lake: Lake) -> None:
    lake.logic["marts.build_overview"] = as_text
    lake.run()
    damage(lake, "B-2.parquet")
    lake.run()
    lake.logic.clear()
    lake.run()
    mart = lake.marts()["mart_bioreactor_overview"]
    assert mart[mart.batch_id == "B-1"].source_file_count.tolist() == [1, 1, 1]
    # Text that is no number is nothing in a column of numbers.
    assert mart[mart.batch_id == "B-2"].source_file_count.isna().all()


@pytest.mark.slow
def test_a_file_that_other_rules_cannot_read_keeps_its_batches(lake: Lake) -> None:
    lake.reading = {"synonyms": {"batch_id": ["charge"]}}
    lake.put("B-2.parquet", readings("B-2", 2), lambda table: table.rename_columns({"batch_id": "charge"}))
    lake.run()
    before = rows(lake, "B-2")
    lake.reading = {}
    run = lake.run()
    assert list(run.held) == ["B-2"]
    assert "no column means batch_id" in run.held["B-2"][0]
    assert_same(before, rows(lake, "B-2"))
    lake.put("B-2.parquet", readings("B-2", 2))
    assert lake.run().held == {}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_damaged_file_says_nothing_of_what_was_taken_away_before(lake: Lake) -> None:
    lake.put("B-2-more.parquet", readings("B-2", 5, count=3))
    lake.run()
    damage(lake, "B-2-more.parquet")
    assert list(lake.run().held) == ["B-2"]
    (lake.raw / "B-2-more.parquet").unlink()
    assert lake.run(allow_removal=True).held == {}
    lake.put("B-2-more.parquet", readings("B-2", 5, count=3))
    damage(lake, "B-2-more.parquet")
    assert lake.run().held == {}
    lake.assert_equals_fresh_build()
