"""Staging says what a reading is twice, once for speed: readings and rows without a reason are the same rows."""

import itertools
from datetime import datetime

import ibis
import pyarrow as pa
import pytest
from ibis import _

from bioreactor_lake.pipelines.ingestion.reading import read_canonical
from bioreactor_lake.pipelines.ingestion.reading_rules import ReadingRules
from bioreactor_lake.pipelines.staging.nodes import READING, interpret, stage_readings

KEYS = ("a", "", " ", "\0", "\t\0 \n", None, "x" * 200, "x" * 201, f" {'x' * 200}\0", "a\0b", "\0 a", "é" * 200)
TIMES = (datetime(2026, 1, 1), None)


@pytest.mark.slow
def test_readings_are_the_rows_without_a_reason() -> None:
    rows = [
        {"batch_id": batch, "equipment_id": equipment, "tag": tag, "ts": ts, "value": 1.0, "source_file": f"{number}"}
        for number, (batch, equipment, tag, ts) in enumerate(itertools.product(KEYS, KEYS, KEYS, TIMES))
    ]
    backend = ibis.duckdb.connect()
    backend.con.register("file", pa.Table.from_pylist(rows))
    raw = read_canonical(backend.table("file"), ReadingRules({}))
    without_reason = interpret(raw).filter(_.reason.isnull()).select(*READING)

    def sorted_rows(table: ibis.Table) -> list[tuple]:
        return backend.raw_sql(backend.compile(table.order_by("source_file"))).fetchall()

    found = sorted_rows(stage_readings(raw))
    assert found == sorted_rows(without_reason)
    assert 0 < len(found) < len(rows)
