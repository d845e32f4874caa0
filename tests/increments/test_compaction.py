"""Small files copied together: read faster, and nothing else changes."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.framework.session import KedroSession
from tests.increments.lake import PROJECT, Lake, environment, readings
from tests.increments.test_work import batches, run

from bioreactor_lake.datasets import MANIFEST
from bioreactor_lake.datasets.compaction import Copy
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.runs import running

LONG_AGO = 1_700_000_000


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Lake:
    """40 files of 10 batches in two schemas, one of them hive-partitioned; the last batch was written just now."""
    lake = Lake(tmp_path / "lake", server)
    for number in range(40):
        batch = f"00{number // 4}"
        folder = f"batch_id={batch}/" if number % 2 else ""
        path = lake.put(f"{folder}{number:02}.parquet", readings(batch, number))
        if number < 36:
            os.utime(path, (LONG_AGO, LONG_AGO))
    lake.run()
    return lake


def compact(lake: Lake, by: str = "date", finished_days: float = 7) -> tuple[list[Copy], int]:
    with environment(lake), running(), KedroSession.create(project_path=PROJECT, save_on_close=False) as session:
        manifest = session.load_context().catalog[MANIFEST]
        return manifest.compact(finished_days=finished_days, by=by)


def read_by_views(lake: Lake) -> set[str]:
    """The files that the views of the raw files name."""
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        found = connection.execute(
            "SELECT DISTINCT file_name FROM (SELECT unnest(regexp_extract_all(sql, '''(/[^'']*\\.parquet)''', 1)) "
            "AS file_name FROM duckdb_views() WHERE view_name LIKE 'parquet_%')"
        ).fetchall()
    return {Path(name).name for (name,) in found}


@pytest.mark.slow
def test_copies_are_read_in_place_of_their_originals_and_nothing_is_out_of_date(lake: Lake) -> None:
    before = lake.tables()
    copies, _ = compact(lake)
    assert sorted(path for copy in copies for path in copy.originals) == sorted(
        path.relative_to(lake.raw).as_posix()
        for path in lake.raw.rglob("*.parquet")
        if path.stat().st_mtime == LONG_AGO
    )
    assert {copy.location.name for copy in copies} < read_by_views(lake)
    assert "04.parquet" not in read_by_views(lake)
    after = lake.tables()
    for table, rows in before.items():
        assert rows.equals(after[table]), table
    assert set(batches(run(lake)).values()) == {0}
    lake.run(full_refresh=True)
    lake.assert_equals_fresh_build()
    assert compact(lake) == ([], 0)


@pytest.mark.slow
def test_a_batch_that_changes_is_read_from_its_originals(lake: Lake) -> None:
    compact(lake)
    lake.put("07b.parquet", readings("001", 90))
    assert set(batches(run(lake)).values()) == {1}
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_copy_with_a_changed_or_removed_original_is_let_go(lake: Lake) -> None:
    copies, _ = compact(lake, by="batch")
    lake.put("04.parquet", readings("001", 77))
    (lake.raw / "batch_id=002" / "11.parquet").unlink()
    lake.run()
    lake.assert_equals_fresh_build()
    lake.run(full_refresh=True)
    lake.assert_equals_fresh_build()
    _, deleted = compact(lake)
    assert deleted == sum(1 for c in copies if {"04.parquet", "batch_id=002/11.parquet"} & set(c.originals))
    lake.run(full_refresh=True)
    lake.assert_equals_fresh_build()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["deleted", "cut"])
def test_a_copy_that_is_not_as_it_was_written_is_let_go(lake: Lake, damage: str) -> None:
    (copy, *_), _ = compact(lake)
    if damage == "deleted":
        copy.location.unlink()
    else:
        copy.location.write_bytes(copy.location.read_bytes()[:-20])
    lake.run(full_refresh=True)
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_an_original_that_changed_is_not_copied(lake: Lake) -> None:
    lake.put("04.parquet", readings("001", 77))
    os.utime(lake.raw / "04.parquet", (LONG_AGO, LONG_AGO))
    with pytest.raises(LakeError, match=r"changed since it was inspected|does not hold what its originals hold"):
        compact(lake)
    assert "04.parquet" in read_by_views(lake)
    lake.run(full_refresh=True)
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_odd_types_survive(lake: Lake) -> None:
    columns = {"batch_id": ["x"] * 3, "reactor": ["R"] * 3, "tag": ["ph"] * 3}
    for number in (1, 2):
        table = pa.table(
            {
                **columns,
                "time": pa.array([10**18, 10**18 + 1, None]).cast(pa.timestamp("ns", "Europe/Berlin")),
                "value": pa.array([1, None, 3], pa.decimal128(20, 3)),
                "note": pa.array([{"a": [1]}, None, {"a": None}]),
                "raw": pa.array([b"\x00", None, b"x"]),
                "short": pa.array([1, 2, None], pa.uint8()),
                "nothing": pa.nulls(3),
            }
        )  # fmt: skip
        path = lake.raw / f"odd{number}.parquet"
        pq.write_table(table, path)
        os.utime(path, (LONG_AGO, LONG_AGO))
    lake.run()
    copies, _ = compact(lake)
    assert any("odd1.parquet" in copy.originals for copy in copies)
    lake.run(full_refresh=True)
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_the_command_says_what_it_did(lake: Lake) -> None:
    done = lake.run_command("lake", "compact", "--by", "batch")
    assert done.returncode == 0, done.stderr
    assert "files," in done.stdout
    again = lake.run_command("lake", "compact")
    assert "nothing to compact" in again.stdout
