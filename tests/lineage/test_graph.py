"""The project's tables as one graph: every column of the marts down to raw columns, and what depends on them."""

import time

import pytest
from project_tables import expressions

from bioreactor_lake.errors import UsageError
from bioreactor_lake.lineage.graph import LineageGraph, Step, link_tables
from bioreactor_lake.lineage.origins import ROWS

OVERVIEW, TIMELINE = "marts.mart_bioreactor_overview", "marts.mart_bioreactor_timeline"
FACT, BATCHES = "curated.fact_bioreactor_batch_stats", "curated.dim_batch"
SERIES, STAGED, RAW = "intermediate.int_bioreactor_downsample_5m", "staging.stg_bioreactor", "raw.bioreactor"

# Column of a mart, the column below it, the staged columns that its values come from, and how.
MARTS = {
    OVERVIEW: {
        "batch_id": (FACT, "batch_id", "batch_id IDENTITY"),
        "equipment_id": (FACT, "equipment_id", "equipment_id IDENTITY"),
        "tag": (FACT, "tag", "tag IDENTITY"),
        "site": (BATCHES, "site", "site IDENTITY"),
        "batch_start": (BATCHES, "batch_start", "ts AGGREGATION"),
        "batch_end": (BATCHES, "batch_end", "ts AGGREGATION"),
        "duration_hours": (BATCHES, "duration_hours", "ts AGGREGATION"),
        "avg_value": (FACT, "avg_value", "value AGGREGATION, value CONDITIONAL"),
        "min_value": (FACT, "min_value", "value AGGREGATION"),
        "max_value": (FACT, "max_value", "value AGGREGATION"),
        "stddev_value": (FACT, "stddev_value", "value AGGREGATION, value CONDITIONAL"),
        "first_ts": (FACT, "first_ts", "ts AGGREGATION"),
        "last_ts": (FACT, "last_ts", "ts AGGREGATION"),
        "reading_count": (FACT, "reading_count", "* AGGREGATION"),
        "null_count": (FACT, "null_count", "value AGGREGATION, value_text AGGREGATION"),
        "value_count": (FACT, "value_count", "value AGGREGATION"),
        "text_count": (FACT, "text_count", "value_text AGGREGATION"),
        "unit": (FACT, "unit", "unit AGGREGATION, unit CONDITIONAL"),
        "main_equipment_id": (BATCHES, "equipment_id", "equipment_id IDENTITY"),
        "equipment_count": (BATCHES, "equipment_count", "equipment_id AGGREGATION"),
        "batch_reading_count": (BATCHES, "reading_count", "* AGGREGATION"),
        "tag_count": (BATCHES, "tag_count", "tag AGGREGATION"),
        "source_file_count": (BATCHES, "source_file_count", "source_file AGGREGATION"),
    },
    TIMELINE: {
        "batch_id": (SERIES, "batch_id", "batch_id IDENTITY"),
        "equipment_id": (SERIES, "equipment_id", "equipment_id IDENTITY"),
        "tag": (SERIES, "tag", "tag IDENTITY"),
        "ts_5m": (SERIES, "ts_5m", "ts TRANSFORMATION"),
        "site": (BATCHES, "site", "site IDENTITY"),
        "batch_start": (BATCHES, "batch_start", "ts AGGREGATION"),
        "avg_value": (SERIES, "avg_value", "value AGGREGATION, value CONDITIONAL"),
        "min_value": (SERIES, "min_value", "value AGGREGATION"),
        "max_value": (SERIES, "max_value", "value AGGREGATION"),
        "last_value": (SERIES, "last_value", "value AGGREGATION, value FILTER, value SORT, ts SORT"),
        "reading_count": (SERIES, "reading_count", "* AGGREGATION"),
    },
}


@pytest.fixture(scope="module")
def graph() -> LineageGraph:
    return link_tables(expressions())


def walk(step: Step) -> set[str]:
    return {step.name}.union(*(walk(one) for one in step.steps))


@pytest.mark.parametrize(("mart", "column"), [(mart, column) for mart, columns in MARTS.items() for column in columns])
def test_columns_of_the_marts(graph: LineageGraph, mart: str, column: str) -> None:
    table, below, staged = MARTS[mart][column]
    (first,) = graph.upstream(mart, column).steps
    assert (first.table, first.column, first.subtype) == (table, below, "IDENTITY")
    origins = graph.tables[table].columns[below].origins
    assert {(one.table, f"{one.column} {one.subtype}") for one in origins} == {
        (STAGED, one) for one in staged.split(", ")
    }


def test_the_age_of_the_batch(graph: LineageGraph) -> None:
    age = graph.upstream(TIMELINE, "hours_since_start")
    assert {(one.name, one.subtype) for one in age.steps} == {
        (f"{SERIES}.ts_5m", "TRANSFORMATION"),
        (f"{BATCHES}.batch_start", "TRANSFORMATION"),
    }
    assert walk(age) >= {"raw.parquet_a.ts", "raw.parquet_b.ts"}


def test_no_column_of_the_marts_is_left_out(graph: LineageGraph) -> None:
    assert {*MARTS[OVERVIEW]} == {*graph.columns(OVERVIEW)}
    assert {*MARTS[TIMELINE], "hours_since_start"} == {*graph.columns(TIMELINE)}
    for mart in MARTS:
        for column in (*graph.columns(mart), ROWS):
            # No file of this lake has texts in place of values, or units.
            if column not in ("text_count", "unit"):
                assert any(name.startswith("raw.parquet_") for name in walk(graph.upstream(mart, column))), column


def test_a_column_is_followed_once(graph: LineageGraph) -> None:
    series, batch = graph.upstream(TIMELINE, "hours_since_start").steps
    assert not series.steps[0].again
    assert series.steps[0].steps
    assert batch.steps[0].again
    assert not batch.steps[0].steps


def test_raw_spellings_are_kept(graph: LineageGraph) -> None:
    assert walk(graph.upstream(RAW, "batch_id")) == {
        "raw.bioreactor.batch_id",
        "raw.parquet_a.batch_id",
        "raw.parquet_b.Batch",
    }


def test_what_depends_on_a_column(graph: LineageGraph) -> None:
    assert walk(graph.downstream(BATCHES, "site")) == {f"{BATCHES}.site", f"{OVERVIEW}.site", f"{TIMELINE}.site"}
    value = walk(graph.downstream(STAGED, "value"))
    assert {f"{OVERVIEW}.avg_value", f"{TIMELINE}.last_value", f"{OVERVIEW}.null_count"} <= value
    # Rows with too many empty readings are not published.
    assert f"{OVERVIEW}.{ROWS}" in value
    assert f"{BATCHES}.{ROWS}" not in value
    assert f"{OVERVIEW}.tag" not in value


def test_what_decides_about_rows_is_felt_by_all_that_is_built_on_them(graph: LineageGraph) -> None:
    everything = walk(graph.downstream(RAW, "tag"))
    assert {f"{table}.{ROWS}" for table in graph.tables if table != RAW} <= everything
    assert walk(graph.downstream("raw.files", "status")) == {
        "raw.files.status",
        f"staging.rejected_readings.{ROWS}",
    }


def test_names(graph: LineageGraph) -> None:
    assert graph.find("marts.mart_bioreactor_overview.avg_value") == (OVERVIEW, "avg_value")
    assert graph.find("mart_bioreactor_overview.avg_value") == (OVERVIEW, "avg_value")
    assert graph.find("dim_batch") == (BATCHES, None)
    assert graph.find("dim_batch.*") == (BATCHES, ROWS)
    assert graph.find("raw.files.path") == ("raw.files", "path")
    for name, meant in {
        "dim_batsch": "curated.dim_batch",
        "curated.dim_bach.site": "curated.dim_batch",
        "dim_batch.sight": "site",
        "overview": OVERVIEW,
    }.items():
        with pytest.raises(UsageError, match="Did you mean") as refused:
            graph.find(name)
        assert meant in refused.value.next_step


def test_a_name_of_two_tables_needs_its_schema(graph: LineageGraph) -> None:
    twice = LineageGraph(graph.tables, {**graph.sources, "other.dim_batch": ("batch_id",)}, {})
    with pytest.raises(UsageError, match="may be"):
        twice.find("dim_batch")
    assert twice.find("other.dim_batch.batch_id") == ("other.dim_batch", "batch_id")


def test_the_whole_graph_takes_milliseconds() -> None:
    made = expressions()
    link_tables(made)
    started = time.perf_counter()
    link_tables(made)
    assert time.perf_counter() - started < 1
