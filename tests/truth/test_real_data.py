"""Data that others have measured or simulated, against numbers that they came with."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import reference
from lake_under_test import DIM, FACT, LAYERS, MARTS, OVERVIEW, PROJECT, REJECTS, STAGING, TIMELINE, Lake, NewLake
from test_sample import readings_of

SIMULATED, PIOREACTOR = "SIMULATED_pensimpy", "pioreactor_od"


@dataclass
class Known:
    lake: Lake
    truth: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def simulated(real_data: Callable[[str], Path], new_lake: NewLake, tmp_path_factory: pytest.TempPathFactory) -> Known:
    source, raw = real_data(SIMULATED), tmp_path_factory.mktemp("raw")
    for path in source.glob("long_*.parquet"):
        shutil.copy(path, raw)
    return Known(new_lake(raw, marts=True).run(*LAYERS, MARTS), _truth(source), raw)


@pytest.fixture(scope="module")
def pioreactor(real_data: Callable[[str], Path], new_lake: NewLake, tmp_path_factory: pytest.TempPathFactory) -> Known:
    source, raw = real_data(PIOREACTOR), tmp_path_factory.mktemp("raw")
    (csv,) = source.glob("*.csv")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")  # wherever the reader of the README sits
        connection.execute(_line_of_the_readme(csv, raw / "pioreactor.parquet"))
    lake = new_lake(raw, marts=True, time_zone="America/New_York")  # which must not matter
    return Known(lake.run(*LAYERS, MARTS), _truth(source), raw)


@pytest.fixture(params=["simulated", "pioreactor"])
def known(request: pytest.FixtureRequest) -> Known:
    return request.getfixturevalue(request.param)


def test_totals(known: Known) -> None:
    (found,) = known.lake.query(
        f"SELECT count(*) AS rows, count(value) AS rows_numeric, count(DISTINCT tag) AS n_tags, min(ts) AS ts_min, "
        f"max(ts) AS ts_max, list_sort(list(DISTINCT batch_id)) AS batches, "
        f"list_sort(list(DISTINCT equipment_id)) AS equipment FROM {STAGING}"
    )
    truth = {name: known.truth[name] for name in found}
    assert found == truth | {name: datetime.fromisoformat(truth[name]) for name in ("ts_min", "ts_max")}
    assert known.lake.rows(REJECTS) == []


def test_the_overview_in_postgres(known: Known) -> None:
    rows = {(row["batch_id"], row["equipment_id"], row["tag"]): row for row in known.lake.rows(OVERVIEW)}
    assert len(rows) == len(known.truth["tags"])
    for tag in known.truth["tags"]:
        row = rows[tag["batch_id"], tag["equipment_id"], tag["tag"]]
        assert row["reading_count"] == tag["n"]
        assert (row["min_value"], row["max_value"]) == (tag["min"], tag["max"])
        assert row["avg_value"] == pytest.approx(tag["mean"], rel=1e-9, abs=1e-9 * max(-tag["min"], tag["max"]))
        for name in ("first_ts", "last_ts"):
            assert row[name] == datetime.fromisoformat(tag[name] + "+00:00")


def test_the_timeline_in_postgres(known: Known) -> None:
    buckets: dict[tuple[str, ...], list[float]] = {}
    for row in known.lake.rows(TIMELINE):
        buckets.setdefault((row["batch_id"], row["equipment_id"], row["tag"]), []).append(row["avg_value"])
    for tag in known.truth["tags"]:
        means = buckets[tag["batch_id"], tag["equipment_id"], tag["tag"]]
        assert len(means) == tag["buckets_5min"]
        tolerance = 1e-9 * max(-tag["min"], tag["max"])
        assert reference.mean(means) == pytest.approx(tag["mean_of_5min_means"], rel=1e-9, abs=tolerance)


def test_every_number_of_the_tables_per_batch(known: Known) -> None:
    readings = readings_of(known.folder)
    dim, fact = reference.batches(readings), reference.statistics(readings)
    reference.assert_table(known.lake.rows(DIM), dim, reference.DIM_KEY)
    reference.assert_table(known.lake.rows(FACT), fact, reference.FACT_KEY)
    reference.assert_table(known.lake.rows(OVERVIEW), reference.overview(dim, fact), reference.FACT_KEY)


def test_every_number_of_the_measured_series(pioreactor: Known) -> None:
    # The simulated one is a reading every 12 minutes: each bucket holds one.
    for table, expected in reference.tables(readings_of(pioreactor.folder)).items():
        reference.assert_table(pioreactor.lake.rows(table), expected, reference.KEYS[table])


def _line_of_the_readme(csv: Path, parquet: Path) -> str:
    """The SQL that the README gives for the export of a Pioreactor, on these files."""
    readme = (PROJECT / "README.md").read_text("utf-8")
    (sql,) = re.findall(r"COPY \(SELECT 'pioreactor' .* \(FORMAT parquet\)", readme)
    sql = re.sub(r"read_csv\('[^']+'", f"read_csv('{csv}'", sql)
    return re.sub(r" TO '[^']+'", f" TO '{parquet}'", sql)


def _truth(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "GROUND_TRUTH.json").read_text("utf-8"))
