"""Files that go on to be trouble after they were looked at. Each lies beside a good one, which must come through."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from kedro.framework.session import KedroSession
from lake_under_test import DIM, LAYERS, MARTS, OVERVIEW, PROJECT, REJECTS, STAGING, Lake, NewLake
from raw_files import NOON, RawFolder, columns, damage
from reference import Reading

GOOD = {"good", "also good"}


@pytest.fixture
def folder(tmp_path: Path) -> RawFolder:
    folder = RawFolder(tmp_path / "raw")
    for batch in GOOD:
        folder.add(f"{batch}.parquet", columns(batch_id=[batch]), [Reading(batch, "E", "t", NOON, 1.0)])
    return folder


@pytest.fixture
def outcome(folder: RawFolder, new_lake: NewLake) -> Callable[..., dict[str, Any]]:
    """Run the lake, see that the good files came through, and return the manifest's rows of the others."""

    def run(**reading: Any) -> dict[str, Any]:
        lake = new_lake(folder.root, **reading).run()
        assert {row["batch_id"] for row in lake.rows(STAGING)} >= GOOD
        assert {row["batch_id"] for row in lake.rows(DIM)} >= GOOD
        return {path: row for path, row in lake.files().items() if path.removesuffix(".parquet") not in GOOD}

    return run


Outcome = Callable[..., dict[str, Any]]


def _not_utf8() -> pa.Array:
    text = "°C".encode("latin-1")
    return pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(np.int32([0, 2])), pa.py_buffer(text)])


def _statuses(files: dict[str, Any]) -> dict[str, str]:
    return {path: row["status"] for path, row in files.items()}


def test_a_file_with_a_damaged_column_is_quarantined_whichever_it_is(folder: RawFolder, outcome: Outcome) -> None:
    distinct = [f"{number}" for number in range(20_000)]
    raw = columns(20_000, batch_id=distinct, value=[float(number) for number in distinct], unit=distinct)
    raw["ts"] = [NOON + timedelta(seconds=step) for step in range(20_000)]
    damaged = [f"{column}.parquet" for column in ("batch_id", "ts", "value", "unit")]
    for path in damaged:
        folder.add_bad(path, pa.table(raw), "")
        damage(folder.root / path, path.removesuffix(".parquet"))
    assert _statuses(outcome()) == dict.fromkeys(damaged, "quarantined")


@pytest.mark.parametrize("column", ["value", "unit"])
def test_text_that_is_not_utf8_is_quarantined(folder: RawFolder, outcome: Outcome, column: str) -> None:
    folder.add_bad("latin.parquet", columns(**{column: _not_utf8()}), "")
    assert _statuses(outcome()) == {"latin.parquet": "quarantined"}


def test_a_file_with_no_column_but_one_of_ours_is_quarantined(folder: RawFolder, outcome: Outcome) -> None:
    folder.add_bad("ours.parquet", {"source_file": ["x"]}, "")
    assert _statuses(outcome()) == {"ours.parquet": "quarantined"}


def test_naive_and_aware_times_in_one_lake(folder: RawFolder, outcome: Outcome) -> None:
    folder.add("aware.parquet", columns(ts=[NOON.replace(tzinfo=UTC)]))
    assert outcome()["aware.parquet"]["ts_min"] == NOON


def test_columns_that_hold_nothing_at_all(folder: RawFolder, outcome: Outcome) -> None:
    nothing = pa.nulls(1)  # pandas writes an empty column of objects like this
    folder.add("nothing.parquet", columns(value=nothing, site=nothing, unit=nothing))
    assert outcome()["nothing.parquet"]["rows_accepted"] == 1


@pytest.mark.parametrize(
    ("unit", "seconds", "kinds"),
    [("s", 1748779200, ("int32", "uint32", "int64", "uint64")), ("ms", 86400, ("int32", "uint32", "int64", "uint64"))],
)
def test_numeric_times_of_any_integer_type(
    folder: RawFolder, outcome: Outcome, unit: str, seconds: int, kinds: tuple[str, ...]
) -> None:
    number = seconds * {"s": 1, "ms": 1000}[unit]
    for kind in kinds:
        folder.add(f"{kind}.parquet", columns(2, ts=pa.array([number, np.iinfo(kind).max], kind)))
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    assert {path: row["ts_min"] for path, row in outcome(epoch_unit=unit).items()} == {
        f"{kind}.parquet": moment for kind in kinds
    }


@pytest.mark.slow
def test_one_odd_float_among_ids_does_not_cost_the_file(folder: RawFolder, outcome: Outcome) -> None:
    for number in (float("inf"), 1e19):
        folder.add(f"{number}.parquet", columns(2, batch_id=[42.0, number]))
    for row in outcome().values():
        assert row["status"] == "accepted"
        assert "42" in row["batch_ids"]


def test_a_column_called_like_duckdbs_own_is_no_reason_to_refuse_a_file(folder: RawFolder, outcome: Outcome) -> None:
    for name in ("filename", "FileName", "source_file", "bioreactor_lake_path"):
        folder.add(f"{name}.parquet", columns(**{name: ["x"]}))
    assert set(_statuses(outcome()).values()) == {"accepted"}


def test_a_folder_that_links_to_itself_is_read_once(folder: RawFolder, new_lake: NewLake) -> None:
    folder.add("sub/back\\slash.parquet", columns(batch_id=["sub"]))
    (folder.root / "sub" / "loop").symlink_to(folder.root)
    assert len(new_lake(folder.root).run("ingestion").files()) == len(GOOD) + 1


def test_rejects_read_the_same_in_a_session_of_another_zone(folder: RawFolder, new_lake: NewLake) -> None:
    far = pa.array([253_402_300_800_000_000]).view(pa.timestamp("us", "UTC"))  # the first moment of the year 10000
    folder.add("far.parquet", columns(ts=far))
    lake = new_lake(folder.root).run()
    answers = {}
    for zone in ("UTC", "Asia/Tokyo"):
        with duckdb.connect(lake.warehouse, read_only=True) as connection:
            connection.execute(f"SET TimeZone = '{zone}'")
            answers[zone] = connection.execute(f"FROM {REJECTS}").fetchall()
    assert answers["UTC"] == answers["Asia/Tokyo"] != []


def test_a_name_too_long_for_an_index_does_not_stop_the_marts(folder: RawFolder, new_lake: NewLake) -> None:
    letters = random.Random(7).choices(string.ascii_letters, k=9000)  # nothing that Postgres could compress
    folder.add("long.parquet", columns(tag=["".join(letters)]))
    lake = new_lake(folder.root, marts=True).run(*LAYERS, MARTS)
    assert {row["batch_id"] for row in lake.rows(OVERVIEW)} >= GOOD


def test_a_session_in_a_notebook_runs_without_naming_a_runner(
    folder: RawFolder, new_lake: NewLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake: Lake = new_lake(folder.root).run("ingestion")
    monkeypatch.setenv("BIOREACTOR_LAKE_RAW", str(folder.root))
    monkeypatch.setenv("BIOREACTOR_LAKE_WAREHOUSE", str(lake.warehouse))
    with KedroSession.create(PROJECT, save_on_close=False) as session:
        session.run(pipeline_names=["staging"])
    assert {row["batch_id"] for row in lake.rows(STAGING)} == GOOD
