"""A run does what changed and no more."""

import os
from datetime import datetime
from pathlib import Path

import duckdb
import psycopg
import pytest
from tests.increments.lake import Lake, readings

from bioreactor_lake.datasets import portions, tables
from bioreactor_lake.datasets.footers import group_by_schema
from bioreactor_lake.lake.runs import Run, running
from bioreactor_lake.raw_store.folder import Folder


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Lake:
    lake = Lake(tmp_path / "lake", server)
    for number in range(6):
        age(lake.put(f"B-{number}.parquet", readings(f"B-{number}", number)))
    lake.run()
    return lake


def age(path: Path) -> None:
    """Make a file look old, as files are when nobody writes them; only its ctime is new."""
    past = datetime(2026, 1, 1).timestamp()
    os.utime(path, (past, past))


def run(lake: Lake, *pipelines: str, **parameters: object) -> Run:
    with running() as this_run:
        lake.run(*pipelines, **parameters)
        return this_run


# No source tells of these batches.
RESULTS = "curated.fact_sample_result"


def batches(this_run: Run) -> dict[str, int | None]:
    return {
        write.table: write.batches
        for write in this_run.writes
        if write.table.startswith(("intermediate", "curated", "marts")) and write.table != RESULTS
    }


def test_an_idle_run_writes_no_table(lake: Lake) -> None:
    assert set(batches(run(lake)).values()) == {0}


def test_one_changed_file_costs_its_batch(lake: Lake) -> None:
    age(lake.put("B-3.parquet", readings("B-3", 30)))
    assert set(batches(run(lake)).values()) == {1}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_several_changed_files_cost_their_batches(lake: Lake) -> None:
    for number in range(10, 20):
        age(lake.put(f"B-{number}.parquet", readings(f"B-{number}", number)))
    lake.run()
    for number in range(10, 17):
        age(lake.put(f"B-{number}.parquet", readings(f"B-{number}", number + 20)))
    assert set(batches(run(lake)).values()) == {7}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_file_that_moves_batches_costs_both(lake: Lake) -> None:
    age(lake.put("B-3.parquet", readings("B-new", 3)))
    assert set(batches(run(lake)).values()) == {2}
    lake.assert_equals_fresh_build()


def test_a_touched_or_copied_file_costs_nothing(lake: Lake) -> None:
    (lake.raw / "B-1.parquet").touch()
    (lake.raw / "B-2.parquet").rename(lake.raw / "renamed.parquet")
    assert set(batches(run(lake)).values()) == {0}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_content_that_changed_behind_equal_times_is_found_by_verify(lake: Lake) -> None:
    target = lake.raw / "B-1.parquet"
    with duckdb.connect(lake.warehouse) as connection:
        connection.execute("UPDATE lake_state.file_keys SET settled = true")
    content = target.read_bytes()
    other = lake.raw.with_name("other.parquet")
    lake.put("../other.parquet", readings("B-1", 9))
    assert len(content) == other.stat().st_size
    target.write_bytes(other.read_bytes())
    age(target)
    with duckdb.connect(lake.warehouse) as connection:
        key = Folder(lake.raw).current_keys(["B-1.parquet"])["B-1.parquet"]
        connection.execute("UPDATE lake_state.file_keys SET key = ?, settled = true WHERE path = 'B-1.parquet'", [key])
    assert set(batches(run(lake)).values()) == {0}
    assert set(batches(run(lake, verify=True)).values()) == {1}
    lake.assert_equals_fresh_build()


def test_many_files_gone_change_nothing_until_allowed(lake: Lake) -> None:
    for number in range(3):
        (lake.raw / f"B-{number}.parquet").unlink()
    with pytest.raises(Exception, match="3 of 6 accepted raw files are gone"):
        lake.run()
    with psycopg.connect(lake.database) as connection:
        (found,) = connection.execute("SELECT count(DISTINCT batch_id) FROM marts.mart_bioreactor_overview").fetchone()
    assert found == 6
    lake.run(allow_removal=True)
    lake.assert_equals_fresh_build()


def test_changed_rules_of_a_mart_republish_it_alone(lake: Lake) -> None:
    written = batches(run(lake, overview={"min_readings": 3}))
    assert written.pop("marts.mart_bioreactor_overview") == 6
    assert set(written.values()) == {0}


@pytest.mark.slow
def test_changed_reading_rules_read_the_files_again(lake: Lake) -> None:
    written = run(lake, reading={"time_zone": "Europe/Berlin"})
    assert set(batches(written).values()) == {6}
    assert set(batches(run(lake, reading={"time_zone": "Europe/Berlin"})).values()) == {0}
    assert set(batches(run(lake)).values()) == {6}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_mart_emptied_behind_the_lakes_back_is_published_again(lake: Lake) -> None:
    with psycopg.connect(lake.database) as connection:
        connection.execute("DELETE FROM marts.mart_bioreactor_timeline WHERE batch_id = 'B-2'")
    written = batches(run(lake))
    assert written.pop("marts.mart_bioreactor_timeline") == 6
    assert set(written.values()) == {0}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
@pytest.mark.parametrize(
    "alter",
    [
        "DELETE FROM {mart} WHERE batch_id = 'B-2' AND ctid = (SELECT min(ctid) FROM {mart} WHERE batch_id = 'B-2')",
        "TRUNCATE {mart}",
    ],
)
def test_a_mart_that_was_long_left_alone_is_still_looked_at(lake: Lake, alter: str) -> None:
    mart = "marts.mart_bioreactor_overview"
    age(lake.put("B-3.parquet", readings("B-3", 30)))
    for _ in range(3):
        lake.run()
    with psycopg.connect(lake.database) as connection:
        (kept,) = connection.execute("SELECT activity FROM lake.marts WHERE mart = %s", [mart]).fetchone()
        (rows,) = connection.execute(f"SELECT count(*) FROM {mart}").fetchone()
    assert int(kept.split()[2]) >= rows, "its rows were counted in each run"
    with psycopg.connect(lake.database) as connection:
        connection.execute(alter.format(mart=mart))
    written = batches(run(lake))
    assert written.pop(mart) == 6
    assert set(written.values()) == {0}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_what_the_lake_itself_writes_is_no_reason_to_count_a_mart(lake: Lake) -> None:
    """The state is altered in place of the mart: it is believed as long as nobody touched the mart."""
    age(lake.put("B-3.parquet", readings("B-3", 30)))
    lake.run()
    with psycopg.connect(lake.database) as connection:
        connection.execute("UPDATE lake.held SET rows = rows - 1 WHERE batch_id = 'B-2'")
    assert set(batches(run(lake)).values()) == {0}


@pytest.mark.slow
def test_a_table_changed_behind_the_lakes_back_is_built_again(lake: Lake) -> None:
    with duckdb.connect(lake.warehouse) as connection:
        connection.execute("DELETE FROM curated.dim_batch WHERE batch_id = 'B-2'")
    assert batches(run(lake))["curated.dim_batch"] == 6
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_file_that_changes_between_the_layers_is_not_taken_for_what_it_was(lake: Lake) -> None:
    age(lake.put("B-3.parquet", readings("B-3", 30)))
    lake.run("ingestion")
    lake.run("staging")
    lake.put("B-3.parquet", readings("B-3", 31, count=9))
    with pytest.raises(Exception, match="changed since it was inspected"):
        lake.run("curated")
    lake.run()
    lake.assert_equals_fresh_build()


def test_a_mart_of_another_lake_is_left_alone(lake: Lake, tmp_path: Path, server: str) -> None:
    other = Lake(tmp_path / "other", server)
    other.put("B-9.parquet", readings("B-9", 9))
    other.database = lake.database
    with pytest.raises(Exception, match="belong to another lake"):
        other.run()
    with psycopg.connect(lake.database) as connection:
        (found,) = connection.execute("SELECT count(DISTINCT batch_id) FROM marts.mart_bioreactor_overview").fetchone()
    assert found == 6
    other.run("marts", take_over=True)
    with pytest.raises(Exception, match="belong to another lake"):
        lake.run("marts")


@pytest.mark.slow
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put("B-1.parquet", readings("B-1", 50))

    def replace_meanwhile(*arguments: object) -> object:
        groups = group_by_schema(*arguments)
        monkeypatch.undo()
        lake.put("B-1.parquet", readings("B-1", 60))
        return groups

    monkeypatch.setattr("bioreactor_lake.datasets.inspection.group_by_schema", replace_meanwhile)
    written = run(lake)
    assert written.notices == []
    assert set(batches(written).values()) == {1}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_file_that_changes_without_end_is_set_aside_for_one_run(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace_meanwhile(*arguments: object) -> object:
        groups = group_by_schema(*arguments)
        lake.put("B-1.parquet", readings("B-1", 60))
        return groups

    with monkeypatch.context() as patch:
        patch.setattr("bioreactor_lake.datasets.inspection.group_by_schema", replace_meanwhile)
        lake.put("B-1.parquet", readings("B-1", 50))
        assert "B-1.parquet: changed while it was read" in run(lake).notices[0]
    assert run(lake).notices == []
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_table_built_in_portions_is_the_same_table(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "_READINGS", 10)
    seen = []
    portions_of = portions.portions_of
    monkeypatch.setattr(tables, "portions_of", lambda *given: seen.append(portions_of(*given)) or seen[-1])
    lake.put("of two portions.parquet", readings("B-0", 30) + readings("B-5", 40))
    lake.run(full_refresh=True)
    assert seen == [[None]] * 3
    (lake.raw / "of two portions.parquet").unlink()
    seen.clear()
    lake.run(full_refresh=True)
    assert [len(found) for found in seen] == [4] * 3
    monkeypatch.undo()
    lake.assert_equals_fresh_build()
