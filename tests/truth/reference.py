"""What the tables must hold, computed in plain Python from readings that a test knows.

Shares nothing with the project: no Ibis, no SQL, no constant.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import lake_under_test as lake

Row = dict[str, Any]
Table = dict[tuple[Any, ...], Row]

DIM_KEY = ("batch_id",)
FACT_KEY = ("batch_id", "equipment_id", "tag")
SERIES_KEY = ("batch_id", "equipment_id", "tag", "ts_5m")
KEYS = {
    lake.SERIES: SERIES_KEY,
    lake.DIM: DIM_KEY,
    lake.FACT: FACT_KEY,
    lake.OVERVIEW: FACT_KEY,
    lake.TIMELINE: SERIES_KEY,
}
AVERAGED = ("avg_value", "stddev_value")
HOURS = ("duration_hours", "hours_since_start")
TOO_LARGE_TO_AVERAGE = 1e150
SMALLEST_ROOT = 1e-150  # squares of anything smaller have no digits left in a double


class Reading(NamedTuple):
    """One reading as staging must give it."""

    batch_id: str
    equipment_id: str
    tag: str
    ts: datetime
    value: float | None = None
    value_text: str | None = None
    site: str | None = None
    unit: str | None = None
    quality: str | None = None
    source_file: str = "file"


def at(*parts: int) -> datetime:
    """A time as the warehouse holds it: UTC, without a zone."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc, arg-type]


def series(readings: Iterable[Reading]) -> Table:
    """intermediate.int_bioreactor_downsample_5m."""
    groups: dict[tuple[Any, ...], list[Reading]] = defaultdict(list)
    for reading in readings:
        groups[reading.batch_id, reading.equipment_id, reading.tag, _bucket(reading.ts)].append(reading)
    table = {}
    for key, group in groups.items():
        values = _values(group)
        last = max(
            ((reading.ts, reading.value) for reading in group if reading.value is not None), default=(None, None)
        )
        table[key] = {
            **dict(zip(SERIES_KEY, key, strict=True)),
            "avg_value": mean(values),
            "min_value": min(values, default=None),
            "max_value": max(values, default=None),
            "last_value": last[1],
            "reading_count": len(group),
        }
    return table


def batches(readings: Iterable[Reading]) -> Table:
    """curated.dim_batch."""
    groups: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        groups[reading.batch_id].append(reading)
    table = {}
    for batch_id, group in groups.items():
        start, end = min(reading.ts for reading in group), max(reading.ts for reading in group)
        table[batch_id,] = {
            "batch_id": batch_id,
            "site": _most_frequent(reading.site for reading in group),
            "equipment_id": _most_frequent(reading.equipment_id for reading in group),
            "equipment_count": len({reading.equipment_id for reading in group}),
            "batch_start": start,
            "batch_end": end,
            "duration_hours": _hours(end - start),
            "reading_count": len(group),
            "tag_count": len({reading.tag for reading in group}),
            "source_file_count": len({reading.source_file for reading in group}),
            # No source tells of these batches.
            **dict.fromkeys(("product", "recipe", "inoculation_time")),
        }
    return table


def statistics(readings: Iterable[Reading]) -> Table:
    """curated.fact_bioreactor_batch_stats."""
    groups: dict[tuple[Any, ...], list[Reading]] = defaultdict(list)
    for reading in readings:
        groups[reading.batch_id, reading.equipment_id, reading.tag].append(reading)
    table = {}
    for key, group in groups.items():
        values = _values(group)
        units = {reading.unit for reading in group} - {None}
        table[key] = {
            **dict(zip(FACT_KEY, key, strict=True)),
            "avg_value": mean(values),
            "min_value": min(values, default=None),
            "max_value": max(values, default=None),
            "stddev_value": sample_deviation(values),
            "first_ts": min(reading.ts for reading in group),
            "last_ts": max(reading.ts for reading in group),
            "reading_count": len(group),
            "null_count": sum(reading.value is None and reading.value_text is None for reading in group),
            "value_count": sum(reading.value is not None for reading in group),
            "text_count": sum(reading.value_text is not None for reading in group),
            "unit": min(units) if len(units) == 1 else None,
            "unit_count": len(units),
        }
    return table


def overview(dim: Table, fact: Table) -> Table:
    """marts.mart_bioreactor_overview under the default rules: everything is published."""
    table = {}
    for key, row in fact.items():
        batch = dim[key[0],]
        table[key] = {name: row[name] for name in row if name != "unit_count"} | {
            "site": batch["site"],
            "main_equipment_id": batch["equipment_id"],
            "batch_reading_count": batch["reading_count"],
            **{name: batch[name] for name in ("batch_start", "batch_end", "duration_hours")},
            **{name: batch[name] for name in ("equipment_count", "tag_count", "source_file_count")},
        }
    return table


def timeline(dim: Table, buckets: Table) -> Table:
    """marts.mart_bioreactor_timeline under the default rules."""
    table = {}
    for key, row in buckets.items():
        batch = dim[key[0],]
        age = _hours(row["ts_5m"] - batch["batch_start"])
        table[key] = row | {"site": batch["site"], "batch_start": batch["batch_start"], "hours_since_start": age}
    return table


def tables(readings: Sequence[Reading]) -> dict[str, Table]:
    """All tables above staging, by name."""
    dim, fact, buckets = batches(readings), statistics(readings), series(readings)
    return {
        lake.SERIES: buckets,
        lake.DIM: dim,
        lake.FACT: fact,
        lake.OVERVIEW: overview(dim, fact),
        lake.TIMELINE: timeline(dim, buckets),
    }


def mean(values: Sequence[float]) -> float | None:
    """Plain mean; none where there is nothing to average or something is too large for it."""
    if not values or max(map(abs, values)) > TOO_LARGE_TO_AVERAGE:
        return None
    return math.fsum(values) / len(values)


def sample_deviation(values: Sequence[float]) -> float | None:
    """Sample standard deviation in two passes."""
    centre = mean(values)
    if centre is None or len(values) < 2:
        return None
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def assert_table(actual: Iterable[Row], expected: Table, key: Sequence[str]) -> None:
    """Same rows under the same key, same columns; floats that were averaged to 1e-9 relative, all else exactly.

    The tolerance of a mean or deviation is relative to the largest magnitude among the values, not to the result:
    where values cancel (1e12, -1e12, 1), the last bits of the large ones are of the size of the result, and the
    order in which an engine adds them up decides what is left. fsum gives the exact sum to compare with.
    """
    rows = {tuple(row[name] for name in key): row for row in map(_without_zones, actual)}
    assert rows.keys() == expected.keys(), f"keys differ: {list(rows.keys() ^ expected.keys())[:5]}"
    for at, wanted in expected.items():
        found = rows[at]
        assert found.keys() == wanted.keys(), f"columns differ: {found.keys() ^ wanted.keys()}"
        for name, value in wanted.items():
            same = type(found[name]) is type(value) and found[name] == value
            assert same or _close(name, found[name], value, wanted), (
                f"{at} {name}: found {found[name]!r}, expected {value!r}"
            )


def _close(name: str, found: Any, expected: Any, row: Mapping[str, Any]) -> bool:
    if found is None or expected is None:
        return False
    if name in AVERAGED:
        largest = max(abs(row["min_value"]), abs(row["max_value"]))
        return abs(found - expected) <= 1e-9 * largest + SMALLEST_ROOT
    if name in HOURS:
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    return False


def _without_zones(row: Mapping[str, Any]) -> Row:
    return {name: _naive(value) for name, value in row.items()}


def _naive(value: Any) -> Any:
    """Postgres hands out aware times in UTC, DuckDB naive ones that mean UTC."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        assert value.utcoffset() == timedelta(0)
        return value.replace(tzinfo=None)
    return value


def _values(group: Iterable[Reading]) -> list[float]:
    return [reading.value for reading in group if reading.value is not None]


def _most_frequent(names: Iterable[str | None]) -> str | None:
    counts = Counter(name for name in names if name is not None)
    return min(counts, key=lambda name: (-counts[name], name), default=None)


def _bucket(ts: datetime) -> datetime:
    return ts.replace(minute=ts.minute - ts.minute % 5, second=0, microsecond=0)


def _hours(length: timedelta) -> float:
    return length / timedelta(hours=1)
