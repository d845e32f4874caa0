"""The sample that comes with the project, and that runs in a row change nothing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import reference
from lake_under_test import LAYERS, MARTS, PROJECT, REJECTS, STAGING, Lake, NewLake
from reference import Reading

SAMPLE = PROJECT / "data" / "01_raw" / "bioreactor"


@dataclass
class Sample:
    lake: Lake
    readings: list[Reading]


def readings_of(folder: Path) -> list[Reading]:
    """Rows of canonical Parquet files, read with pyarrow."""
    readings = []
    for path in sorted(folder.glob("*.parquet")):
        rows = pq.read_table(path)
        utc = rows["ts"].cast(pa.timestamp("us"))  # of a time with a zone: the same moment in UTC
        columns = rows.set_column(rows.schema.get_field_index("ts"), "ts", utc).to_pydict()
        cells = zip(*columns.values(), strict=True)
        readings += [Reading(**dict(zip(columns, row, strict=True)), source_file=path.name) for row in cells]
    return readings


@pytest.fixture(scope="module")
def sample(new_lake: NewLake) -> Sample:
    return Sample(new_lake(SAMPLE, marts=True).run(*LAYERS, MARTS), readings_of(SAMPLE))


def test_staging_holds_every_row(sample: Sample) -> None:
    found = sample.lake.query(f"SELECT {', '.join(Reading._fields)} FROM {STAGING}")
    assert sorted(map(repr, (Reading(**row) for row in found))) == sorted(map(repr, sample.readings))


def test_nothing_is_rejected(sample: Sample) -> None:
    assert sample.lake.rows(REJECTS) == []


def test_every_number_of_every_table(sample: Sample) -> None:
    for table, expected in reference.tables(sample.readings).items():
        reference.assert_table(sample.lake.rows(table), expected, reference.KEYS[table])


def test_the_manifest(sample: Sample) -> None:
    by_file = defaultdict(list)
    for reading in sample.readings:
        by_file[reading.source_file].append(reading)
    files = sample.lake.files()
    assert files.keys() == by_file.keys()
    for path, readings in by_file.items():
        row, content = files[path], (SAMPLE / path).read_bytes()
        assert row["size_bytes"] == len(content)
        assert row["content_hash"] == hashlib.sha256(content).hexdigest()
        assert row["batch_ids"] == sorted({reading.batch_id for reading in readings})
        assert (row["rows_accepted"], row["rows_rejected"]) == (len(readings), 0)
        assert (row["ts_min"], row["ts_max"]) == (min(r.ts for r in readings), max(r.ts for r in readings))
        assert (row["status"], row["reason"]) == ("accepted", None)


def test_a_second_run_changes_nothing(sample: Sample) -> None:
    def everything() -> dict[str, pd.DataFrame]:
        return {table: sample.lake.frame(table, key) for table, key in reference.KEYS.items()}

    before, files = everything(), sample.lake.files()
    sample.lake.run(*LAYERS, MARTS)
    for table, frame in everything().items():
        # Threads add up in any order, which the last bits of averages show.
        pd.testing.assert_frame_equal(frame, before[table], rtol=1e-9, atol=0)
    for path, row in sample.lake.files().items():
        assert row | {"last_seen_at": None} == files[path] | {"last_seen_at": None}
