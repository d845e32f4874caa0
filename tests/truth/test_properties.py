"""Nodes of staging and curated against plain Python, on readings that nobody would think of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Reading, at

from bioreactor_lake.pipelines.curated import nodes as curated
from bioreactor_lake.pipelines.staging import nodes as staging

# The raw table's columns, of which unit, quality and ts_text stay empty.
COLUMNS = {
    "batch_id": pa.string(), "equipment_id": pa.string(), "tag": pa.string(), "ts": pa.timestamp("us"),
    "site": pa.string(), "value": pa.float64(), "value_text": pa.string(), "source_file": pa.string(),
    "ts_text": pa.string(), "unit": pa.string(), "quality": pa.string(),
}  # fmt: skip
SPACES = " \t\n\r\v\f"
EPOCH = at(1970, 1, 1)

# Few names and times, so that ties, duplicates and shared buckets are the rule.
names = st.sampled_from(["A", "a", "B ", "ä", "標", "\0B"])
gaps = st.sampled_from([None, "", " ", "\0"])
times = st.sampled_from([0, 1, 299_999_999, 300_000_000, -1, -300_000_001, 10**15, -(10**15)]) | st.integers(
    -(10**9), 10**9
)
numbers = (
    st.sampled_from([0.0, -0.0, 1.0, 1e150, -1e150, 1.0000000001e150, -1e151, 1e308, -1.7e308, 1e12, -1e12])
    | st.sampled_from([math.nan, math.inf, -math.inf, None])
    | st.floats(-1e6, 1e6)
    | st.floats(allow_nan=False, allow_infinity=False)
)
states = st.sampled_from([None, "", " on ", "off", "-", "NaN", "\0"])
rows = st.lists(
    st.tuples(
        names | gaps,
        st.sampled_from(["E", "F"]) | gaps,
        st.sampled_from(["t", "T"]) | gaps,
        st.none() | times.map(lambda microseconds: EPOCH + timedelta(microseconds=microseconds)),
        st.sampled_from([None, "X", "Y", " "]),
        numbers,
        states,
        st.sampled_from(["f", "g"]),
    ),
    max_size=60,
)
# Most rows are readings: a row with a gap in its keys says little about statistics.
readings = st.lists(
    st.tuples(
        st.sampled_from(["A", "B"]), st.sampled_from(["E", "F"]), st.just("t"),
        times.map(lambda microseconds: EPOCH + timedelta(microseconds=microseconds)),
        st.sampled_from([None, "X", "Y"]), numbers, states, st.sampled_from(["f", "g"]),
    ),
    max_size=60,
)  # fmt: skip


class Engine:
    """DuckDB in memory with the nodes compiled once."""

    def __init__(self) -> None:
        self.backend = ibis.duckdb.connect()
        self.backend.raw_sql("SET TimeZone = 'UTC'")
        self.put([])
        raw = self.backend.table("raw_rows", database=("temp", "main"))
        self.interpreted = self.backend.compile(staging.interpret(raw))
        self.backend.raw_sql(f"CREATE TEMP VIEW staged AS {self.backend.compile(staging.stage_readings(raw))}")
        staged = self.backend.table("staged", database=("temp", "main"))
        self.curated = [
            self.backend.compile(node(staged))
            for node in (curated.downsample_readings, curated.describe_batches, curated.summarise_tags)
        ]

    def put(self, rows: list[tuple[Any, ...]]) -> None:
        whole = [(*row, None, None, None) for row in rows]
        cells = list(zip(*whole, strict=True)) or [()] * len(COLUMNS)
        arrays = [pa.array(column, kind) for column, kind in zip(cells, COLUMNS.values(), strict=True)]
        self.backend.con.register("given_rows", pa.table(arrays, names=list(COLUMNS)))
        self.backend.raw_sql("CREATE OR REPLACE TEMP TABLE raw_rows AS FROM given_rows")

    def fetch(self, sql: str) -> list[dict[str, Any]]:
        cursor = self.backend.raw_sql(sql)
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.backend.disconnect()


@settings(max_examples=60, deadline=None)
@given(rows=rows)
def test_staging(engine: Engine, rows: list[tuple[Any, ...]]) -> None:
    engine.put(rows)
    columns = ("batch_id", "equipment_id", "site", "tag", "ts", "value", "value_text", "source_file", "reason")
    found = Counter(tuple(row[name] for name in columns) for row in engine.fetch(engine.interpreted))
    assert found == Counter(_interpreted(row) for row in rows)


@settings(max_examples=100, deadline=None)
@given(rows=readings)
def test_curated(engine: Engine, rows: list[tuple[Any, ...]]) -> None:
    engine.put(rows)
    staged = []
    for batch, equipment, tag, ts, site, number, text, file in rows:
        value, value_text = _cell(number, text)
        staged.append(Reading(batch, equipment, tag, ts, value, value_text, site, source_file=file))
    for sql, compute, key in zip(
        engine.curated,
        (reference.series, reference.batches, reference.statistics),
        (reference.SERIES_KEY, reference.DIM_KEY, reference.FACT_KEY),
        strict=True,
    ):
        reference.assert_table(engine.fetch(sql), compute(staged), key)


def test_many_values_that_are_just_small_enough_do_not_stop_the_lake() -> None:
    # DuckDB merges the deviations of its threads, which work by 122,880 rows, and the squares of the differences of
    # their means times both counts overflow long before a single square does. Which rows meet is chance: ten times.
    backend = ibis.duckdb.connect(threads=4)
    backend.raw_sql(
        "CREATE TABLE staged AS SELECT 'B' AS batch_id, 'E' AS equipment_id, 't' AS tag, NULL::VARCHAR AS value_text, "
        "NULL::VARCHAR AS unit, "
        "TIMESTAMP '2025-06-01' + to_seconds(number) AS ts, if(number // 122_880 % 2 = 0, 1e150, -1e150) AS value "
        "FROM range(983_040) AS t(number)"
    )
    query = backend.compile(curated.summarise_tags(backend.table("staged")).select("stddev_value"))
    for _ in range(10):
        ((deviation,),) = backend.raw_sql(query).fetchall()
        assert math.isclose(deviation, 1e150, rel_tol=1e-5)


def _interpreted(row: tuple[Any, ...]) -> tuple[Any, ...]:
    batch, equipment, tag, ts, site, number, text, file = row
    batch, equipment, tag, site = map(_clean, (batch, equipment, tag, site))
    missing = {"batch_id": batch, "equipment_id": equipment, "tag": tag, "ts": ts}
    reason = next((f"{name} is missing" for name, value in missing.items() if value is None), None)
    return (batch, equipment, site, tag, ts, *_cell(number, text), file, reason)


def _cell(number: float | None, text: str | None) -> tuple[float | None, str | None]:
    if number is not None and math.isfinite(number):
        return number, None
    spelled = None if number is None else "NaN" if math.isnan(number) else f"{'-' if number < 0 else ''}Infinity"
    return None, _clean(text) or spelled


def _clean(text: str | None) -> str | None:
    return None if text is None else text.replace("\0", "").strip(SPACES) or None
