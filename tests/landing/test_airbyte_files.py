"""What Airbyte writes: Parquet files of a stream with columns of its own, and records that come more than once."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.landing.landed_lake import LandedLake

CHANGES = pa.list_(pa.struct([("field", pa.string()), ("change", pa.string()), ("reason", pa.string())]))
STREAM = {
    "files": ["readings/*.parquet"],
    "parquet": {},
    "time": {"columns": "sampled_at"},
    "batch": {"column": "lot"},
    "equipment": {"column": "vessel"},
    "long": {"tag": "name", "value": "result"},
    "repeats": {"newest": "_airbyte_extracted_at"},
}


def extract(day: int, *records: tuple[str, int, str, float | None], columns: tuple[str, ...] = ()) -> bytes:
    """A file as destination-s3 writes it: lot, minute, name and result of each record, extracted at a day of June."""
    extracted = datetime(2025, 6, day, tzinfo=UTC)
    lot, sampled_at, name, result = columns or ("lot", "sampled_at", "name", "result")
    table = pa.table(
        {
            "_airbyte_raw_id": [str(uuid4()) for _ in records],
            "_airbyte_extracted_at": pa.array([extracted] * len(records), pa.timestamp("ms", "UTC")),
            "_airbyte_meta": pa.array(
                [{"sync_id": day, "changes": []}] * len(records),
                pa.struct([("sync_id", pa.int64()), ("changes", CHANGES)]),
            ),
            "_airbyte_generation_id": pa.array([0] * len(records), pa.int64()),
            lot: [record[0] for record in records],
            "vessel": ["V1"] * len(records),
            sampled_at: pa.array(
                [datetime(2025, 6, 1, 10, record[1], tzinfo=UTC) for record in records], pa.timestamp("us", "UTC")
            ),
            name: [record[2] for record in records],
            result: pa.array([record[3] for record in records], pa.float64()),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


@pytest.fixture
def lake(tmp_path: Path) -> LandedLake:
    return LandedLake(tmp_path / "lake", STREAM)


def values(lake: LandedLake) -> list[Any]:
    return [(batch, minute, tag, value) for batch, _, tag, value, minute in map(_turned, lake.readings())]


def _turned(reading: tuple[Any, ...]) -> tuple[Any, ...]:
    batch, equipment, minute, tag, value = reading
    return batch, equipment, tag, value, minute


@pytest.mark.slow
def test_of_a_record_that_came_again_the_newest_counts(lake: LandedLake) -> None:
    """In whichever order the files come, and when one of them goes."""
    lake.put("mine/readings/2025_06_02_1748822400000_0.parquet", extract(2, ("A", 0, "ph", 7), ("A", 1, "ph", 7.1)))
    second = lake.put(
        "mine/readings/2025_06_03_1748908800000_0.parquet",
        extract(3, ("A", 1, "ph", 7.5), ("A", 2, "ph", 7.2), ("B", 0, "ph", 6)),
    )
    run = lake.run()
    expected = [("A", 0, "ph", "7.0"), ("A", 1, "ph", "7.5"), ("A", 2, "ph", "7.2"), ("B", 0, "ph", "6.0")]
    assert values(lake) == expected
    assert any(notice.startswith("Repeated: 1 readings") for notice in run.notices)
    assert [row["readings"] for row in lake.files().values()] == [2, 3]  # nothing is lost of what a file has
    bytes_of_a = lake.raw_hashes()["mine/A.parquet"]
    third = lake.put("mine/readings/2025_06_01_1748736000000_0.parquet", extract(1, ("A", 1, "ph", 9)))  # late, but old
    run = lake.run()
    assert values(lake) == expected
    assert any(notice.startswith("Repeated: 2 readings") for notice in run.notices)
    assert lake.raw_hashes()["mine/A.parquet"] == bytes_of_a
    second.unlink()
    lake.run(allow_removal=True)
    assert values(lake) == [("A", 0, "ph", "7.0"), ("A", 1, "ph", "7.1")]
    third.unlink()
    assert not any("Repeated" in notice for notice in lake.run(allow_removal=True).notices)


@pytest.mark.slow
def test_the_older_form_of_airbyte_and_a_wide_stream_are_read(lake: LandedLake) -> None:
    lake.profile = {
        **{key: value for key, value in STREAM.items() if key not in ("long", "repeats")},
        "wide": {"ignore": ["name"]},
    }
    table = pq.read_table(io.BytesIO(extract(2, ("A", 0, "x", 7.25), ("A", 1, "x", None))))
    times = table["sampled_at"].combine_chunks()
    union = pa.StructArray.from_arrays([times, pa.nulls(2, pa.string())], ["member0", "member1"])
    table = table.rename_columns(["_airbyte_ab_id", "_airbyte_emitted_at", *table.column_names[2:]]).set_column(
        table.column_names.index("sampled_at"), "sampled_at", union
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    lake.put("mine/readings/2022_06_02_1748822400000_0.parquet", out.getvalue())
    lake.put("mine/readings/torn.parquet", out.getvalue()[:200])
    lake.run()
    assert values(lake) == [("A", 0, "result", "7.25")]
    assert "no Parquet file that can be read" in lake.files()["mine/readings/torn.parquet"]["reason"]


@pytest.mark.slow
def test_a_stream_of_readings_is_raw_data_as_it_is(lake: LandedLake) -> None:
    """Airbyte's columns are passed over; every record that it wrote counts, also one that it wrote twice."""
    folder = lake.raw / "airbyte" / "readings"
    folder.mkdir(parents=True)
    names = ("batch_id", "ts", "tag", "value")
    for day, records in ((2, [("A", 0, "ph", 7.0)]), (3, [("A", 0, "ph", 7.0), ("A", 1, "ph", 7.1)])):
        content = extract(day, *records, columns=names)
        (folder / f"2025_06_0{day}_174882240000{day}_0.parquet").write_bytes(content)
    lake.run()
    assert values(lake) == [("A", 0, "ph", "7.0"), ("A", 0, "ph", "7.0"), ("A", 1, "ph", "7.1")]
    assert lake.query("SELECT DISTINCT status FROM raw.files") == [("accepted",)]
