"""However a folder came about, its tables are those of a fresh lake over the same files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import reference
from lake_under_test import DIM, FACT, LAYERS, MARTS, REJECTS, SERIES, STAGING, Lake, NewLake
from raw_files import MINUTE, NOON, RawFolder, of
from reference import Reading

KEYS = reference.KEYS | {
    STAGING: ("batch_id", "equipment_id", "tag", "ts", "value", "source_file"),
    REJECTS: ("source_file", "reason", "ts"),
}
# When a file was seen and by which run depends on the way; what it holds does not.
OF_THE_WAY = ["first_seen_at", "last_seen_at", "run_id"]


def _readings(file: int, version: int = 0) -> list[Reading]:
    """Readings of two batches; each batch lies in two files."""
    return [
        Reading(
            f"batch {batch}", f"E{file % 2}", tag, NOON + step * MINUTE, step / (file + 3) + version, site=f"S{file}"
        )
        for batch in (file, (file + 1) % 6)
        for tag in ("ph", "do")
        for step in range(40 + file)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> RawFolder:
    folder = RawFolder(tmp_path / "raw")
    for file in range(6):
        folder.add(f"{file}.parquet", of(_readings(file)))
    return folder


def replace_by_newer_readings(folder: RawFolder) -> None:
    folder.add("2.parquet", of(_readings(2, version=1)))


def replace_by_other_types(folder: RawFolder) -> None:
    columns = of(_readings(2))
    columns["ts"] = [f"{ts.as_py()}Z" for ts in columns["ts"]]
    columns["Lot"] = columns.pop("batch_id")
    folder.add("2.parquet", columns)


def replace_by_a_damaged_copy(folder: RawFolder) -> None:
    path = folder.root / "2.parquet"
    folder.add_bad("2.parquet", path.read_bytes()[:-9], "")


def replace_by_rows_without_keys(folder: RawFolder) -> None:
    folder.add("2.parquet", {**of(_readings(2)), "batch_id": [None, *[f"{n}" for n in range(len(_readings(2)) - 1)]]})


def remove_one(folder: RawFolder) -> None:
    (folder.root / "2.parquet").unlink()


def rename_one(folder: RawFolder) -> None:
    (folder.root / "2.parquet").rename(folder.root / "renamed.parquet")


def add_one(folder: RawFolder) -> None:
    folder.add("sub/site=X/new.parquet", of(_readings(6)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        [replace_by_newer_readings, add_one, rename_one],
        [replace_by_other_types, replace_by_a_damaged_copy, replace_by_rows_without_keys, remove_one],
    ],
    ids=lambda changes: " then ".join(change.__name__ for change in changes),
)
def test_changes_end_in_the_tables_of_a_fresh_lake(folder: RawFolder, new_lake: NewLake, changes) -> None:
    lake = new_lake(folder.root).run()
    for change in changes:
        change(folder)
        lake.run()
    assert_equal(lake, new_lake(folder.root).run(), marts=False)


@pytest.mark.slow
def test_partial_runs_end_in_the_marts_of_a_fresh_lake(folder: RawFolder, new_lake: NewLake) -> None:
    lake = new_lake(folder.root, marts=True).run(*LAYERS, MARTS)
    replace_by_newer_readings(folder)
    lake.run("ingestion")
    (folder.root / "4.parquet").unlink()
    add_one(folder)
    for pipeline in (*LAYERS, MARTS):
        lake.run(pipeline)
    assert_equal(lake, new_lake(folder.root, marts=True).run(*LAYERS, MARTS), marts=True)


def test_an_emptied_folder_changes_nothing(folder: RawFolder, new_lake: NewLake) -> None:
    lake = new_lake(folder.root).run()
    before = {table: lake.frame(table, KEYS[table]) for table in (SERIES, DIM, FACT)}
    files = lake.files()
    for path in folder.root.glob("*.parquet"):
        path.unlink()
    with pytest.raises(Exception, match="No raw file was found"):
        lake.run()
    assert lake.files() == files
    for table, frame in before.items():
        pd.testing.assert_frame_equal(lake.frame(table, KEYS[table]), frame)


def assert_equal(lake: Lake, fresh: Lake, *, marts: bool) -> None:
    """Averages to 1e-9 relative, all else exactly."""
    for table in KEYS:
        if marts or not table.startswith("marts."):
            pd.testing.assert_frame_equal(
                lake.frame(table, KEYS[table]), fresh.frame(table, KEYS[table]), rtol=1e-9, atol=0
            )
    files, expected = (
        {
            path: {name: value for name, value in row.items() if name not in OF_THE_WAY}
            for path, row in it.files().items()
        }
        for it in (lake, fresh)
    )
    assert files == expected
