"""What checks look at: each table once, and after a change what has changed, counted in queries and rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.increments.lake import Lake

from bioreactor_lake.quality import one_pass, querying, samples, table_questions

BATCHES, READINGS, TAGS = 40, 5000, 5
BUCKETS = TAGS * 84  # of five minutes, in 5,000 readings that are five seconds apart
SERIES, TIMELINE = "intermediate.int_bioreactor_downsample_5m", "mart_bioreactor_timeline"
# Tables with a row for a batch, or for a tag of it: what is asked of them as a whole looks at all of it.
SMALL = {"raw.files", "curated.dim_batch", "curated.fact_bioreactor_batch_stats", "mart_bioreactor_overview"}


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    lake.checkpoints = True
    for number in range(BATCHES):
        write(lake, number)
    yield lake
    lake.drop()


def write(lake: Lake, number: int, largest: float = 1.5) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT 'B-{number:04}' AS batch_id, 'R-{number % 7}' AS equipment_id, "
            "['ph', 'do', 'temperature', 'pressure', 'weight'][i % 5 + 1] AS tag, "
            f"time_bucket(INTERVAL 5 MINUTES, now()::TIMESTAMP) - INTERVAL {number} HOURS "
            "+ i * INTERVAL 5 SECONDS AS ts, "
            f"0.5 + i % 100 / 100 * {largest - 0.5} AS value FROM range({READINGS}) AS t(i)) "
            f"TO '{lake.raw}/B-{number:04}.parquet' (FORMAT parquet)"
        )


@contextmanager
def observed() -> Iterator[list[dict[str, int]]]:
    """The queries of checks: by table how many rows they looked at, as the engines themselves count."""
    looked: list[dict[str, int]] = []
    ask = querying.fetch_sql

    def fetch_sql(backend: Any, query: str) -> list[querying.Row]:
        rows: dict[str, int] = {}
        if backend.name == "duckdb":
            backend.con.execute("PRAGMA enable_profiling='no_output'")
            found = ask(backend, query)
            count_scanned(json.loads(backend.con.get_profiling_information("json")), rows)
            backend.con.execute("PRAGMA disable_profiling")
        else:
            (plan,) = backend.con.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}").fetchone()
            count_read(plan[0]["Plan"], rows)
            found = ask(backend, query)
        looked.append(rows)
        return found

    with pytest.MonkeyPatch.context() as patch:
        for module in (querying, one_pass, samples, table_questions):
            patch.setattr(module, "fetch_sql", fetch_sql)
        yield looked


def count_scanned(node: dict[str, Any], rows: dict[str, int]) -> None:
    """Rows by table, of DuckDB's profile."""
    kind, facts = node.get("operator_type", ""), node.get("extra_info", {})
    if kind == "TABLE_SCAN":
        name = facts["Table"].partition(".")[2] if "Table" in facts else "raw files"
        rows[name] = rows.get(name, 0) + node["operator_cardinality"]
    for child in node.get("children", ()):
        count_scanned(child, rows)


def count_read(node: dict[str, Any], rows: dict[str, int]) -> None:
    """Rows by table, of a plan of Postgres, with those that a filter put aside."""
    if name := node.get("Relation Name", "").rpartition("_")[0]:  # that of the partition
        read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        rows[name] = rows.get(name, 0) + int(read)
    for child in node.get("Plans", ()):
        count_read(child, rows)


def rows_of(table: str, looked: list[dict[str, int]]) -> list[int]:
    """How many rows of a table each query looked at that did."""
    return [rows[table] for rows in looked if table in rows]


@pytest.mark.slow
def test_checks_look_at_each_table_once_and_then_at_what_changed(lake: Lake) -> None:
    with observed() as looked:
        assert lake.run().held == {}
    # Each beside its own suite once more, for the table above it to be compared with.
    assert rows_of("raw files", looked) == [BATCHES * READINGS] * 2
    assert rows_of(SERIES, looked) == [BATCHES * BUCKETS] * 2
    assert rows_of(TIMELINE, looked) == [BATCHES * BUCKETS]
    assert len(looked) <= 19
    write(lake, 7, largest=1.4)
    with observed() as looked:
        assert lake.run().held == {}
    assert rows_of("raw files", looked) == [READINGS] * 2
    assert rows_of(SERIES, looked) == [BUCKETS] * 2
    assert rows_of(TIMELINE, looked) == [BUCKETS]
    assert {table for rows in looked for table in rows} == SMALL | {"raw files", SERIES, TIMELINE}
    assert len(looked) <= 20  # what is expected of dim_batch as a whole is asked beside what is of the changed batch
    with observed() as looked:
        assert lake.run().held == {}
    # Nothing changed but the clock.
    assert looked == [{"curated.dim_batch": BATCHES}]
