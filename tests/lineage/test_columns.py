"""Column lineage against what people read off expressions."""

import time

import ibis
import pytest
from expressions import CASES, OWNERS, READINGS, doubled
from ibis import _

from bioreactor_lake.errors import LakeError
from bioreactor_lake.lineage.columns import trace_columns
from bioreactor_lake.lineage.origins import ROWS, ColumnOrigin, Subtype


def parse(text: str) -> set[tuple[str, str, str]]:
    found = set()
    for one in filter(None, text.split(", ")):
        name, part = one.split(" ")
        table, column = name.split(".")
        found.add((OWNERS[table] + table, column, part))
    return found


def parts(origins: tuple[ColumnOrigin, ...]) -> set[tuple[str, str, str]]:
    return {(one.table, one.column, str(one.subtype)) for one in origins}


@pytest.mark.parametrize("name", CASES)
def test_the_lineage_is_what_people_read_off(name: str) -> None:
    case = CASES[name]
    traced = trace_columns(case.table)
    expected = {column: parse(f"readings.{column} IDENTITY") for column in case.own}
    expected |= {column: parse(text) for column, text in case.columns.items()}
    found = {column: parts(lineage.origins) for column, lineage in traced.columns.items()}
    assert found == expected
    made_of = {(OWNERS[table] + table, ROWS) for table in case.made_of.split(", ")}
    assert {(one.table, one.column) for one in traced.rows if one.is_direct} == made_of
    assert parts(tuple(one for one in traced.rows if not one.is_direct)) == parse(case.rows)
    assert list(traced.columns) == list(case.table.columns)


def test_a_deep_chain_costs_what_its_length_is() -> None:
    deep = doubled(60)
    started = time.perf_counter()
    traced = trace_columns(deep)
    assert time.perf_counter() - started < 0.5
    assert len(traced.columns["value"].expression) < 200
    trace_columns(doubled(400))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (_.value.mean(), "mean(value)"),
        (_.value.mean(where=_.tag == "ph"), "mean(value where tag = 'ph')"),
        ((_.value.sum() / _.count()), "sum(value) / count()"),
        (_.value.quantile(0.5), "quantile(value, 0.5)"),
        (_.value.std(how="sample"), "std(value, sample)"),
        (_.tag.nunique(), "nunique(tag)"),
        (_.ts.truncate("D").max(), "max(timestamp_truncate(ts, D))"),
        (_.value.argmax(_.ts), "argmax(value, ts)"),
        ((_.low.max() > 1).ifelse(_.value.sum(), None), "ifelse(max(low) > 1, sum(value), null)"),
        (_.value.max().cast("int64"), "cast(max(value), int64)"),
    ],
)
def test_expressions_read_as_people_write_them(value, text: str) -> None:
    assert trace_columns(READINGS.agg(v=value)).columns["v"].expression == text


def test_windows_and_intermediate_columns_are_said() -> None:
    table = READINGS.mutate(v=_.value * 2).select(
        n=ibis.row_number().over(group_by="tag", order_by=ibis.desc("v")), m=_.v + 1
    )
    columns = trace_columns(table).columns
    assert columns["n"].expression == "row_number() over (by tag; order (value * 2) desc)"
    assert columns["m"].expression == "(value * 2) + 1"


def test_each_branch_of_a_union_keeps_its_expression() -> None:
    table = READINGS.select(v=_.value).union(READINGS.select(v=_.low * 1000))
    said = {one.column: one.description for one in trace_columns(table).columns["v"].origins}
    assert said == {"value": "value", "low": "low * 1000"}


def test_conditions_are_the_description_of_what_they_look_at() -> None:
    (origin,) = [one for one in trace_columns(READINGS.filter(_.value > 1)).rows if one.column == "value"]
    assert (origin.kind, origin.subtype, origin.description) == ("INDIRECT", Subtype.FILTER, "value > 1")


def test_tables_in_memory_have_columns_too() -> None:
    held = ibis.memtable({"tag": ["ph"], "low": [6.8]})
    name = held.op().name
    traced = trace_columns(READINGS.inner_join(held, "tag").select("value", limit=held.low))
    assert parts(traced.columns["limit"].origins) == {(name, "low", "IDENTITY")}
    assert traced.inputs[name] == ("tag", "low")


def test_tables_of_literals_have_no_inputs() -> None:
    traced = trace_columns(ibis.literal(1).name("one").as_table())
    assert (traced.columns["one"].origins, traced.rows, traced.columns["one"].expression) == ((), (), "1")


def test_a_sample_has_the_columns_of_its_table() -> None:
    assert trace_columns(READINGS.sample(0.5)) == trace_columns(READINGS)


def test_raw_sql_is_refused_and_not_guessed_at() -> None:
    backend = ibis.duckdb.connect()
    backend.raw_sql("CREATE TABLE t AS SELECT 1 AS x")
    with pytest.raises(LakeError, match="cannot be traced"):
        trace_columns(backend.sql("SELECT x + 1 AS y FROM t"))
