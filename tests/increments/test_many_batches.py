"""A thousand batches, seven of them bad in seven ways, and somebody who looks at the marts all the while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.increments.lake import MARTS, Lake
from tests.increments.watching import Content, watching

Rows = list[tuple[str, str, str, datetime, float | None]]
BATCHES = 1000
VALUES = {"ph": 7.0, "do": 40.0, "temperature": 36.5}


def readings(batch: str, **values: float) -> Rows:
    """Three readings of each tag, all of them the same: what is seen of a batch says which numbers went into it."""
    start = datetime(2026, 1, 1) + timedelta(hours=int(batch[2:]))
    return [
        (batch, "BR-1", tag, start + timedelta(minutes=i), value)
        for tag, value in (VALUES | values).items()
        for i in range(3)
    ]


def seen(rows: Rows) -> Content:
    """What a reader finds of readings."""
    return frozenset((tag, value, value, value, 3) for _, _, tag, _, value in rows)


def at(year: int) -> Callable[[Lake, str, Rows], None]:
    def put(lake: Lake, path: str, rows: Rows) -> None:
        lake.put(path, [(*row[:3], row[3].replace(year=year), row[4]) for row in rows])

    return put


def with_value(**values: float) -> Callable[[Lake, str, Rows], None]:
    return lambda lake, path, rows: lake.put(path, readings(rows[0][0], **values)) and None


def twice(lake: Lake, path: str, rows: Rows) -> None:
    lake.put(path, rows)
    lake.put(f"again/{path}", rows)


def cut_off(lake: Lake, path: str, rows: Rows) -> None:
    file = lake.put(path, rows)
    file.write_bytes(file.read_bytes()[:-20])


def without_a_column(lake: Lake, path: str, rows: Rows) -> None:
    lake.put(path, rows, lambda table: table.drop_columns(["tag"]))


# How a batch is bad, and what is to be said of it.
WAYS: dict[str, tuple[Callable[[Lake, str, Rows], None], str]] = {
    "B-0003": (with_value(ph=99.0), "values_are_physical: 3 of 9 rows"),
    "B-0141": (with_value(temperature=310.25, do=-40.0), "values_are_physical: 6 of 9 rows"),
    "B-0272": (at(1970), "ts_is_of_our_time: 9 of 9 rows"),
    "B-0500": (at(2170), "ts_is_of_our_time: 9 of 9 rows"),
    "B-0667": (twice, "readings_are_in_one_file: 18 of 18 rows"),
    "B-0808": (cut_off, "The newest version of B-0808.parquet is quarantined"),
    "B-0999": (without_a_column, "The newest version of B-0999.parquet is quarantined: no column means tag"),
}


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    lake.checkpoints = True
    yield lake
    lake.drop()


def published(lake: Lake) -> dict[str, set[str]]:
    return {mart: set(rows.batch_id) for mart, rows in lake.marts().items()}


@pytest.mark.nightly
@pytest.mark.slow
def test_of_a_thousand_batches_seven_are_held_and_readers_never_see_a_bad_number(lake: Lake) -> None:
    every = [f"B-{number:04}" for number in range(BATCHES)]
    first = {batch: readings(batch) for batch in every}
    newer = {batch: readings(batch, ph=7.25) for batch in every}
    good = {batch: (seen(first[batch]), seen(newer[batch])) for batch in every}
    for batch in every:
        lake.put(f"{batch}.parquet", first[batch])
    lake.run("ingestion")  # so that it is known which batches were in files that cannot be read
    for batch, (spoil, _) in WAYS.items():
        spoil(lake, f"{batch}.parquet", first[batch])
    bad = dict(WAYS)
    with watching(lake.database, good) as sightings:
        run = lake.run()
        assert_held(run.held, bad)
        assert published(lake) == {mart: set(every) - set(bad) for mart in MARTS}
        while bad:
            mended = next(iter(bad))
            del bad[mended]
            lake.put(f"{mended}.parquet", newer[mended])
            (lake.raw / "again" / f"{mended}.parquet").unlink(missing_ok=True)
            run = lake.run()
            assert_held(run.held, bad)
            assert {write.batches for write in run.writes if write.table.startswith("marts.")} == {1}
            assert published(lake) == {mart: set(every) - set(bad) for mart in MARTS}
        # What was published is no worse off when all seven go bad at once.
        for batch, (spoil, _) in WAYS.items():
            spoil(lake, f"{batch}.parquet", readings(batch, ph=98.0))
        assert_held(lake.run().held, WAYS)
        assert published(lake) == {mart: set(every) for mart in MARTS}
    assert sightings.wrong == []
    assert sightings.looks > 50
    assert sightings.counts == {mart: list(range(BATCHES - len(WAYS), BATCHES + 1)) for mart in MARTS}


def assert_held(held: dict[str, tuple[str, ...]], bad: Mapping[str, tuple[object, str]]) -> None:
    assert held.keys() == bad.keys()
    for batch, (_, reason) in bad.items():
        assert any(reason in one for one in held[batch]), (batch, held[batch])
