"""A process that makes many runs: what it keeps changes no result, and it does not do the same work again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis
import pytest
from ibis.backends.sql import SQLBackend
from tests.increments.lake import Lake, readings

from bioreactor_lake.lake import resident
from bioreactor_lake.lake.compiled import compile_sql, standing_in
from bioreactor_lake.lake.narrowing import narrow
from bioreactor_lake.lake.structure import hash_structure
from bioreactor_lake.postgres.kept_connections import close_idle


@pytest.fixture
def staying() -> Iterator[None]:
    resident.stay()
    yield
    close_idle()
    resident._kept = None


@pytest.mark.usefixtures("staying")
def test_sql_that_is_kept_is_what_ibis_compiles() -> None:
    backend = ibis.duckdb.connect()
    columns = {"batch_id": "string", "tag": "string", "value": "float64"}
    rows = ibis.table(columns, name="readings", database="staging")
    whole = rows.filter(rows.tag.isin(["ph", "do"])).group_by("batch_id", "tag").agg(mean=rows.value.mean())
    for batches in (["B-1"], ["it's", 'a"b'], ["B-2"], ["B-1", "B-1-0-"], ["%s {0} \\1"], [*"abcdef"]):
        with standing_in(batches) as named:
            assert compile_sql(backend, narrow(whole, named)) == backend.compile(narrow(whole, batches))
        assert compile_sql(backend, narrow(whole, batches)) == backend.compile(narrow(whole, batches))


def test_builtin_functions_are_part_of_a_structure() -> None:
    @ibis.udf.scalar.builtin(name="abs")
    def absolute(x: int) -> int: ...

    @ibis.udf.scalar.builtin(name="abs")
    def absolute_again(x: int) -> int: ...

    @ibis.udf.scalar.builtin(name="sign")
    def sign(x: int) -> int: ...

    table = ibis.table({"x": "int64"}, name="t")
    first, again, other = (hash_structure(table.mutate(y=one(table.x))) for one in (absolute, absolute_again, sign))
    assert first is not None
    assert first == again != other


@pytest.mark.slow
def test_runs_of_one_process_make_what_fresh_ones_make_and_compile_nothing_twice(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch, staying: None
) -> None:
    compiled = []
    monkeypatch.setattr(SQLBackend, "compile", _counting(SQLBackend.compile, compiled))
    lake = Lake(tmp_path / "lake", server)
    lake.checkpoints = None
    counts = []
    for number in range(5):
        lake.put(f"{number}.parquet", physical(f"B-{number}", number))
        if number == 2:
            # A batch whose id has to be quoted, in two files.
            lake.put("more.parquet", physical("it's B-0", 1) + physical("B-0", 9))
        before = len(compiled)
        run = lake.run()
        counts.append(len(compiled) - before)
        assert not run.held
    assert counts[4] == 0, counts
    lake.run()
    monkeypatch.undo()
    close_idle()
    resident._kept = None
    lake.assert_equals_fresh_build()
    lake.drop()


def physical(batch: str, hour: int) -> list[Any]:
    """Readings as every suite expects them: what fails is looked at more closely."""
    usual = {"ph": 7.0, "do": 40.0, "temperature": 37.0}
    return [(*row[:4], usual[row[2]] + row[3].minute / 600) for row in readings(batch, hour)]


def _counting(compile_: Any, compiled: list[Any]) -> Any:
    def count(self: Any, expression: Any, /, **options: Any) -> Any:
        compiled.append(expression)
        return compile_(self, expression, **options)

    return count
