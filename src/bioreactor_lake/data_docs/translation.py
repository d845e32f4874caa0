"""Expectations of a suite as objects of Great Expectations.

Its own types are taken over with the arguments that the suite gives. Those of the lake, and what it cannot ask of SQL,
become queries for the rows that fail; where a query needs what the warehouse knows, that is put into it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.data_docs.conditions import spell_condition
from bioreactor_lake.quality.checks import QUESTIONS
from bioreactor_lake.quality.comparisons import NotAskable, in_utc
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.limits import with_limits, without_limits
from bioreactor_lake.quality.one_pass import measure
from bioreactor_lake.quality.querying import fetch
from bioreactor_lake.quality.questions import BATCH, Subject
from bioreactor_lake.quality.suite import Suite
from bioreactor_lake.quality.table_questions import find_wanted_equipment
from bioreactor_lake.quality.tags import Tag
from bioreactor_lake.quality.types import names_of_type
from bioreactor_lake.quality.verdicts import WARN
from bioreactor_lake.sql import literal, quote

# It has these for data frames only.
_NOT_OF_SQL = ("expect_column_values_to_be_increasing", "expect_column_values_to_be_decreasing")
_TYPES = ("expect_column_values_to_be_of_type", "expect_column_values_to_be_in_type_list")
_ROWS = "lake_rows"
# SQLAlchemy takes a colon before a word for a parameter.
_PARAMETER = re.compile(r"(?<![:\w\\]):(?=\w)")


@dataclass(frozen=True)
class Translated:
    """One expectation.

    Args:
        expectation: As the suite has it.
        asked: As Great Expectations asks it; None where it cannot.
        why_not: Why it cannot.
    """

    expectation: Expectation
    asked: Any = None
    why_not: str = ""


def translate_suite(
    suite: Suite,
    table: ir.Table,
    *,
    tables: Mapping[str, ir.Table],
    tags: Mapping[str, Tag],
    equipment: tuple[str, ...],
    now: datetime | None = None,
) -> list[Translated]:
    """The expectations of a suite, in its order; all of them are asked of the table as a whole.

    Args:
        suite: What is expected of it.
        table: A table in Postgres.
        tables: Other tables that the suite names.
        tags: The tags that have limits.
        equipment: The equipment that should be heard of.
        now: The moment of the check, UTC; None for the clock's.
    """
    known = with_limits(table, suite, tags)
    subject = Subject(suite.table, known, known, False, None, tables, tags, equipment, now or datetime.now(UTC))
    translated = []
    for one in suite.expectations:
        try:
            translated.append(Translated(one, _translate(one, subject)))
        except NotAskable as error:
            translated.append(Translated(one, why_not=str(error)))
    return translated


def _translate(one: Expectation, subject: Subject) -> Any:
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    if one.type in _IN_ITS_OWN_WAY:
        return _IN_ITS_OWN_WAY[one.type](one, subject)
    if one.type in _TYPES:
        return _translate_types(one, subject)
    if one.type in _NOT_OF_SQL or one.type not in list_registered_expectation_implementations():
        return _ask_for_rows(one, subject)
    return _make(one, one.type, **_with_times(one.kwargs, subject))


def _with_times(kwargs: Mapping[str, Any], subject: Subject) -> dict[str, Any]:
    """Arguments with times for bounds, where a column has times: as text it would not compare them."""
    known = dict(kwargs)
    if "min_value" not in known and "max_value" not in known:
        return known
    column = subject.column(known["column"]) if "column" in known else None
    if column is not None and column.type().is_timestamp():
        for name in ("min_value", "max_value"):
            if known.get(name) is not None:
                moment = in_utc(datetime.fromisoformat(str(known[name])))
                known[name] = moment if column.type().timezone else moment.replace(tzinfo=None)
    return known


def _translate_types(one: Expectation, subject: Subject) -> Any:
    """It has one name for a type where suites may have several."""
    wanted = one.kwargs.get("type_list") or [one.kwargs["type_"]]
    names = sorted({same for name in wanted for same in names_of_type(name)})
    return _make(one, "expect_column_values_to_be_in_type_list", column=one.kwargs["column"], type_list=names)


def _make(one: Expectation, as_type: str, /, **kwargs: Any) -> Any:
    from great_expectations.expectations.registry import get_expectation_impl
    from great_expectations.expectations.row_conditions import deserialize_row_condition

    if one.condition is not None:
        kwargs["row_condition"] = deserialize_row_condition(spell_condition(one.condition))
    return get_expectation_impl(as_type)(
        **kwargs, severity="warning" if one.severity == WARN else "critical", meta={"expectation": one.id}, notes=one.id
    )


def _ask_for_rows(one: Expectation, subject: Subject) -> Any:
    """Ask for the rows that fail, as the lake would."""
    question = QUESTIONS[one.type](subject, one)
    if question.failing is None:
        raise NotAskable(f"{one.type} is not about rows.")
    if "mostly" in one.kwargs:
        raise NotAskable("Great Expectations takes no mostly where it is given a query.")
    failing = question.failing()
    query = failing if isinstance(failing, str) else _compile(without_limits(failing))
    return _make_query(one, subject, query)


def _make_query(one: Expectation, subject: Subject, query: str) -> Any:
    text = query.replace("{", "{{").replace("}", "}}").replace(_name_of(subject), _ROWS)
    return _make_rows_query(one, text)


def _make_rows_query(one: Expectation, text: str) -> Any:
    """Ask for the rows of a query that reads `_ROWS`; its braces are doubled."""
    # How Great Expectations spells the batch depends on whether there is a join.
    rows = f"WITH {_ROWS} AS (SELECT b.* FROM {{batch}} AS b CROSS JOIN (SELECT 1) AS one)"
    said = ", ".join(f"{key}: {value}" for key, value in one.kwargs.items())
    query = _PARAMETER.sub(r"\\:", f"{rows} SELECT * FROM ({text}) AS unexpected")
    return _make(
        replace(one, condition=None),  # it is in the query
        "unexpected_rows_expectation",
        unexpected_rows_query=query,
        description=f"{one.type}({said})",
    )


def _translate_query(one: Expectation, subject: Subject) -> Any:
    query = one.kwargs["unexpected_rows_query"].strip().rstrip(";").replace("{batch}", _ROWS)
    return _make_rows_query(one, query)


def _name_of(subject: Subject) -> str:
    """The table as Ibis spells it."""
    found = re.search(r'FROM\s+((?:"[^"]+"\.)*"[^"]+")', _compile(without_limits(subject.table).limit(1)))
    if found is None:
        raise NotAskable(f"{subject.name} is no plain table.")
    return found[1]


def _compile(table: ir.Table) -> str:
    return str(table.get_backend().compile(table))


def _translate_totals(one: Expectation, subject: Subject) -> Any:
    """The totals of the other table stand in the query: they may be those of the warehouse."""
    by_batch = one.scope == BATCH.removesuffix("_id")
    asked = replace(subject, by_batch=by_batch)
    question = QUESTIONS[one.type](asked, one)
    own = question.measures["self"].value
    assert question.elsewhere is not None
    (others,) = measure(question.elsewhere.rows, [question.elsewhere.measures], by_batch=by_batch)
    if not by_batch:
        total = others[None]["other"] or 0
        rows = subject.table.agg(lake_total=own)
        where = _differs("coalesce(lake_total, 0)", str(total), total)
        return _make_query(one, subject, f"SELECT * FROM ({_compile(rows)}) AS own WHERE {where}")
    rows = subject.table.group_by(BATCH).agg(lake_total=own)
    values = [f"({literal(batch)}, {more['other'] or 0})" for batch, more in others.items() if batch is not None]
    totals = f"VALUES {', '.join(values)}" if values else "SELECT NULL::text, NULL::bigint WHERE false"
    where = _differs("coalesce(lake_total, 0)", "coalesce(total, 0)", *(more["other"] for more in others.values()))
    return _make_query(
        one,
        subject,
        f"SELECT * FROM ({_compile(rows)}) AS own FULL JOIN ({totals}) AS other ({quote(BATCH)}, total) "
        f"USING ({quote(BATCH)}) WHERE {where}",
    )


def _differs(one: str, other: str, *totals: Any) -> str:
    if any(isinstance(total, float) for total in totals):
        return f"abs({one} - {other}) > 1e-9 * greatest(abs({one}), abs({other}))"
    return f"{one} <> {other}"


def _translate_equipment(one: Expectation, subject: Subject) -> Any:
    wanted = sorted(find_wanted_equipment(subject, one.kwargs))
    return _make(one, "expect_column_distinct_values_to_contain_set", column=one.kwargs["column"], value_set=wanted)


def _translate_newest(one: Expectation, subject: Subject) -> Any:
    now, hours = in_utc(subject.now), timedelta(hours=one.kwargs["hours"])
    column = one.kwargs["column"]
    return _make(one, "expect_column_max_to_be_between", column=column, min_value=now - hours, max_value=now + hours)


def _translate_row_count(one: Expectation, subject: Subject) -> Any:
    other = fetch(subject.other(one.kwargs["other_table_name"]).count().name("rows").as_table())[0]["rows"]
    return _make(one, "expect_table_row_count_to_equal", value=other)


_IN_ITS_OWN_WAY: Mapping[str, Callable[[Expectation, Subject], Any]] = {
    "expect_totals_to_equal_other_table": _translate_totals,
    "expect_every_equipment_to_have_data": _translate_equipment,
    "expect_newest_to_be_within": _translate_newest,
    "expect_table_row_count_to_equal_other_table": _translate_row_count,
    "unexpected_rows_expectation": _translate_query,
}
