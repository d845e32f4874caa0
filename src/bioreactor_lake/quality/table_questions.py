"""Expectations about a table: its columns, its size, other tables, and what a query of the suite's own finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isclose
from typing import Any

from bioreactor_lake.lake.compiled import compile_sql
from bioreactor_lake.quality.comparisons import fit, is_between
from bioreactor_lake.quality.conditions import apply_condition, read_condition
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.limits import without_limits
from bioreactor_lake.quality.querying import fetch, fetch_sql
from bioreactor_lake.quality.questions import (
    BATCH,
    Answers,
    Elsewhere,
    Judgement,
    Measure,
    Question,
    Subject,
    column_of,
    count_rows,
    judge_between,
)
from bioreactor_lake.quality.types import is_of_type
from bioreactor_lake.sql import quote

Ask = Callable[[Subject, Expectation], Question]


def _of_schema(judge: Callable[[Subject, Mapping[str, Any]], tuple[bool, Any]]) -> Ask:
    """A question that the schema answers."""

    def ask(subject: Subject, expectation: Expectation) -> Question:
        success, observed = judge(subject, expectation.kwargs)
        return Question(lambda answers: Judgement(success, observed))

    return ask


def _columns(subject: Subject) -> tuple[str, ...]:
    return tuple(without_limits(subject.table).columns)


def _match_set(subject: Subject, kwargs: Mapping[str, Any]) -> tuple[bool, Any]:
    found, wanted = set(_columns(subject)), set(kwargs["column_set"])
    missing, more = sorted(wanted - found), sorted(found - wanted)
    return not missing and not (more and kwargs.get("exact_match", True)), {"missing": missing, "unexpected": more}


def _match_list(subject: Subject, kwargs: Mapping[str, Any]) -> tuple[bool, Any]:
    return list(_columns(subject)) == list(kwargs["column_list"]), list(_columns(subject))


def _count_columns(subject: Subject, kwargs: Mapping[str, Any]) -> tuple[bool, Any]:
    count = len(_columns(subject))
    return (count == kwargs["value"] if "value" in kwargs else is_between(count, kwargs)), count


def _exist(subject: Subject, kwargs: Mapping[str, Any]) -> tuple[bool, Any]:
    columns = _columns(subject)
    index = columns.index(kwargs["column"]) if kwargs["column"] in columns else None
    return index is not None and kwargs.get("column_index", index) == index, index


def _be_of_type(subject: Subject, kwargs: Mapping[str, Any]) -> tuple[bool, Any]:
    kind = subject.column(kwargs["column"]).type()
    wanted: Sequence[str] = kwargs["type_list"] if "type_list" in kwargs else [kwargs["type_"]]
    return any(is_of_type(kind, name) for name in wanted), str(kind)


def _ask_rows_between(subject: Subject, expectation: Expectation) -> Question:
    rows = count_rows(subject.table, subject.where(expectation))
    return Question(judge_between(expectation.kwargs), {"value": rows})


def _ask_rows_equal(subject: Subject, expectation: Expectation) -> Question:
    def judge(answers: Mapping[str, Any]) -> Judgement:
        return Judgement(answers["value"] == expectation.kwargs["value"], answers["value"])

    return Question(judge, {"value": count_rows(subject.table, subject.where(expectation))})


def _ask_same_totals(subject: Subject, expectation: Expectation) -> Question:
    """Whether rows, or the sum of a column, are as many as the rows or the sum of a column of another table."""
    kwargs = expectation.kwargs
    other, name = subject.other(kwargs["other_table_name"]), kwargs["other_table_name"]
    where = subject.where(expectation)
    own = count_rows(subject.table, where)
    if "column" in kwargs:
        own = Measure(subject.column(kwargs["column"]).sum(where=where), 0, _total)
    if subject.by_batch:
        column_of(other, BATCH, name)
        if subject.batches is not None:
            other = other.filter(other[BATCH].isin(subject.batches))
    if "other_row_condition" in kwargs:
        other = other.filter(apply_condition(read_condition(kwargs["other_row_condition"]), other, fit))

    total = column_of(other, kwargs["other_column"], name).sum() if "other_column" in kwargs else other.count()

    def judge(answers: Mapping[str, Any]) -> Judgement:
        one, two = answers["self"] or 0, answers.get("other") or 0
        same = one == two or (isinstance(one + two, float) and isclose(one, two, rel_tol=1e-9))
        return Judgement(same, {"self": one, "other": two})

    return Question(judge, {"self": own}, Elsewhere(other, {"other": Measure(total, 0)}))


def _total(values: Any) -> Any:
    return sum(value for value in values if value is not None)


def _ask_every_equipment(subject: Subject, expectation: Expectation) -> Question:
    """Whether all equipment of `equipment.yml` is there or, where that names none, all of another table."""
    kwargs = expectation.kwargs
    column = subject.column(kwargs["column"])

    def ask(measured: Answers) -> Answers:
        found = {row["name"] for row in fetch(subject.table.select(name=column).distinct())}
        return {None: {"missing": sorted(find_wanted_equipment(subject, kwargs) - found)}}

    def judge(answers: Mapping[str, Any]) -> Judgement:
        return Judgement(not answers["missing"], {"missing": answers["missing"]})

    return Question(judge, ask=ask)


def find_wanted_equipment(subject: Subject, kwargs: Mapping[str, Any]) -> set[str]:
    """The equipment of `equipment.yml` or, where that names none, of the other table that the arguments name."""
    if subject.equipment or "other_table_name" not in kwargs:
        return set(subject.equipment)
    other = subject.other(kwargs["other_table_name"])
    known = column_of(other, kwargs.get("other_column", kwargs["column"]), kwargs["other_table_name"])
    return {row["name"] for row in fetch(other.select(name=known).distinct())} - {None}


def _ask_query(subject: Subject, expectation: Expectation) -> Question:
    """Whether a query finds no rows; `{batch}` in it is the table, or the batches of it that are asked about."""
    backend = subject.table.get_backend()
    said = expectation.kwargs["unexpected_rows_query"].strip().rstrip(";")
    name = "lake_batch"
    rows = compile_sql(backend, without_limits(subject.table))
    query = f"WITH {name} AS ({rows}) SELECT * FROM ({said.format(batch=name)}) AS unexpected"

    def ask(measured: Answers) -> Answers:
        if not subject.by_batch:
            return {None: fetch_sql(backend, f"SELECT count(*) AS failing FROM ({query}) AS counted")[0]}
        by = quote(BATCH)
        counted = fetch_sql(backend, f"SELECT {by}, count(*) AS failing FROM ({query}) AS counted GROUP BY {by}")
        return {row.pop(BATCH): row for row in counted}

    def judge(answers: Mapping[str, Any]) -> Judgement:
        failing = answers.get("failing") or 0
        return Judgement(failing == 0, failing, answers["rows"], failing)

    return Question(judge, {"rows": count_rows(subject.table)}, ask=ask, failing=lambda: query)


TABLE_QUESTIONS: Mapping[str, Ask] = {
    "expect_table_columns_to_match_set": _of_schema(_match_set),
    "expect_table_columns_to_match_ordered_list": _of_schema(_match_list),
    "expect_table_column_count_to_be_between": _of_schema(_count_columns),
    "expect_table_column_count_to_equal": _of_schema(_count_columns),
    "expect_column_to_exist": _of_schema(_exist),
    "expect_column_type_to_be": _of_schema(_be_of_type),
    "expect_column_values_to_be_of_type": _of_schema(_be_of_type),
    "expect_column_values_to_be_in_type_list": _of_schema(_be_of_type),
    "expect_table_row_count_to_be_between": _ask_rows_between,
    "expect_table_row_count_to_equal": _ask_rows_equal,
    "expect_table_row_count_to_equal_other_table": _ask_same_totals,
    "expect_totals_to_equal_other_table": _ask_same_totals,
    "expect_every_equipment_to_have_data": _ask_every_equipment,
    "unexpected_rows_expectation": _ask_query,
}
