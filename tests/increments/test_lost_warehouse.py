"""A warehouse that is deleted and built again knows from the marts' database what the raw files do not say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from tests.increments.lake import MARTS, Lake, readings


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    for number in (1, 2, 3):
        lake.put(f"B-{number}.parquet", readings(f"B-{number}", number))
    yield lake
    lake.drop()


def damage(lake: Lake, name: str) -> None:
    path = lake.raw / name
    path.write_bytes(path.read_bytes()[:100])


def lose_warehouse(lake: Lake) -> None:
    lake.warehouse.unlink()


def published(lake: Lake, *batches: str) -> dict[str, pd.DataFrame]:
    marts = lake.marts()
    return {mart: marts[mart][marts[mart].batch_id.isin(batches)].reset_index(drop=True) for mart in MARTS}


def assert_same(before: dict[str, pd.DataFrame], after: dict[str, pd.DataFrame]) -> None:
    for mart, expected in before.items():
        assert len(expected)
        pd.testing.assert_frame_equal(after[mart], expected, obj=mart)


@pytest.mark.slow
def test_a_batch_whose_file_was_damaged_stays_published(lake: Lake) -> None:
    lake.put("B-1-more.parquet", readings("B-1", 7, count=3))
    lake.run()
    before = published(lake, "B-1", "B-2")
    damage(lake, "B-2.parquet")
    lake.run()
    lose_warehouse(lake)
    damage(lake, "B-1-more.parquet")  # while there is no warehouse
    run = lake.run()
    assert list(run.held) == ["B-1", "B-2"]
    assert run.held["B-2"][0].startswith("The newest version of B-2.parquet is quarantined")
    assert_same(before, published(lake, "B-1", "B-2"))
    assert list(lake.run(full_refresh=True).held) == ["B-1", "B-2"]
    assert_same(before, published(lake, "B-1", "B-2"))
    lake.put("B-1-more.parquet", readings("B-1", 7, count=3))
    lake.put("B-2.parquet", readings("B-2", 2))
    assert lake.run().held == {}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_file_that_was_taken_away_says_nothing_later(lake: Lake) -> None:
    lake.put("B-1-more.parquet", readings("B-1", 7, count=3))
    lake.run()
    (lake.raw / "B-1-more.parquet").unlink()
    lake.run(allow_removal=True)
    lose_warehouse(lake)
    lake.put("B-1-more.parquet", readings("B-1", 7, count=3))
    damage(lake, "B-1-more.parquet")
    assert lake.run().held == {}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_release_is_found_again(lake: Lake) -> None:
    lake.checkpoints = True
    lake.put("B-2.parquet", [(*row[:4], 5000.0) for row in readings("B-2", 2)])
    assert "B-2" in lake.run().held
    done = lake.run_command("lake", "release", "B-2", "--reason", "seen")
    assert done.returncode == 0, done.stdout + done.stderr
    lose_warehouse(lake)  # before anything was published on the strength of it
    assert "B-2" not in lake.run().held
    assert published(lake, "B-2")["mart_bioreactor_overview"].max_value.max() == 5000
    lose_warehouse(lake)
    assert "B-2" not in lake.run().held
    with lake.open_warehouse() as connection:
        found = connection.execute("SELECT DISTINCT batch_id, reason FROM quality.releases").fetchall()
    assert found == [("B-2", "seen")]
    lake.put("B-2.parquet", [(*row[:4], 6000.0) for row in readings("B-2", 2)])
    assert "B-2" in lake.run().held  # other data


@pytest.mark.slow
def test_a_release_is_kept_when_the_marts_cannot_be_reached(lake: Lake) -> None:
    lake.checkpoints = True
    lake.put("B-2.parquet", [(*row[:4], 5000.0) for row in readings("B-2", 2)])
    lake.run()
    nowhere = "postgresql://lake:secret@127.0.0.1:9/lake"
    done = lake.run_command("lake", "release", "B-2", "--reason", "seen", BIOREACTOR_LAKE_POSTGRES_URL=nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "It is kept in the warehouse" in done.stdout + done.stderr
    assert "B-2" not in lake.run().held
    with psycopg.connect(lake.database) as connection:
        found = connection.execute("SELECT DISTINCT batch_id, reason FROM lake.releases").fetchall()
    assert found == [("B-2", "seen")]
