"""Expectations about rows, each seen by itself."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from itertools import combinations
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.quality.comparisons import NotAskable, fit, within
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.questions import Question, Subject, ask_rows

Ask = Callable[[Subject, Expectation], Question]


def _of_column(expected: Callable[[Any, Mapping[str, Any]], ir.BooleanValue]) -> Ask:
    """A question about the values of a column, in which nulls are passed over."""

    def ask(subject: Subject, expectation: Expectation) -> Question:
        column = subject.column(expectation.kwargs["column"])
        return ask_rows(subject, expectation, expected(column, expectation.kwargs), column.notnull())

    return ask


def _of_nulls(expected: Callable[[Any], ir.BooleanValue]) -> Ask:
    def ask(subject: Subject, expectation: Expectation) -> Question:
        return ask_rows(subject, expectation, expected(subject.column(expectation.kwargs["column"])), None)

    return ask


def _of_pair(expected: Callable[[Any, Any, Mapping[str, Any]], ir.BooleanValue]) -> Ask:
    """A question about two columns; which nulls are passed over is for the suite to say."""

    def ask(subject: Subject, expectation: Expectation) -> Question:
        kwargs = expectation.kwargs
        a, b = subject.column(kwargs["column_A"]), subject.column(kwargs["column_B"])
        considered = {
            "both_values_are_missing": a.notnull() | b.notnull(),
            "either_value_is_missing": a.notnull() & b.notnull(),
            "neither": None,
        }[kwargs.get("ignore_row_if", "both_values_are_missing")]
        return ask_rows(subject, expectation, expected(a, b, kwargs), considered)

    return ask


def _of_record(expected: Callable[[list[Any], Mapping[str, Any]], ir.BooleanValue]) -> Ask:
    def ask(subject: Subject, expectation: Expectation) -> Question:
        columns = [subject.column(name) for name in expectation.kwargs["column_list"]]
        considered = present(columns, expectation.kwargs)
        return ask_rows(subject, expectation, expected(columns, expectation.kwargs), considered)

    return ask


def present(columns: list[Any], kwargs: Mapping[str, Any]) -> ir.BooleanValue | None:
    """Which rows a question about several columns is about."""
    some, every = operator.or_, operator.and_
    by = {"all_values_are_missing": some, "any_value_is_missing": every, "never": None}[
        kwargs.get("ignore_row_if", "all_values_are_missing")
    ]
    return None if by is None else reduce(by, (column.notnull() for column in columns))


def _text(column: Any) -> ir.StringValue:
    if not column.type().is_string():
        raise NotAskable(f"{column.get_name()} is {column.type()}, and only text is matched.")
    return column


def _among(column: Any, kwargs: Mapping[str, Any]) -> ir.BooleanValue:
    return column.isin([fit(column, value) for value in kwargs["value_set"] if value is not None])


def _matches(column: Any, kwargs: Mapping[str, Any]) -> ir.BooleanValue:
    by = operator.or_ if kwargs.get("match_on", "any") == "any" else operator.and_
    return reduce(by, (_text(column).re_search(regex) for regex in kwargs["regex_list"]))


def _greater(a: Any, b: Any, kwargs: Mapping[str, Any]) -> ir.BooleanValue:
    return (a >= b) | (a.isnull() & b.isnull()) if kwargs.get("or_equal") else a > b


def _pair_in_set(a: Any, b: Any, kwargs: Mapping[str, Any]) -> ir.BooleanValue:
    def is_value(column: Any, value: Any) -> ir.BooleanValue:
        return column.isnull() if value is None else column == fit(column, value)

    return reduce(operator.or_, (is_value(a, x) & is_value(b, y) for x, y in kwargs["value_pairs_set"]))


def _all_differ(columns: list[Any], kwargs: Mapping[str, Any]) -> ir.BooleanValue:
    same = ((a == b) | (a.isnull() & b.isnull()) for a, b in combinations(columns, 2))
    return ~reduce(operator.or_, same)


ROW_QUESTIONS: Mapping[str, Ask] = {
    "expect_column_values_to_not_be_null": _of_nulls(lambda column: column.notnull()),
    "expect_column_values_to_be_null": _of_nulls(lambda column: column.isnull()),
    "expect_column_values_to_be_in_set": _of_column(_among),
    "expect_column_values_to_not_be_in_set": _of_column(lambda column, kwargs: ~_among(column, kwargs)),
    "expect_column_values_to_match_regex": _of_column(lambda column, kwargs: _text(column).re_search(kwargs["regex"])),
    "expect_column_values_to_not_match_regex": _of_column(
        lambda column, kwargs: ~_text(column).re_search(kwargs["regex"])
    ),
    "expect_column_values_to_match_regex_list": _of_column(_matches),
    "expect_column_values_to_not_match_regex_list": _of_column(lambda column, kwargs: ~_matches(column, kwargs)),
    "expect_column_values_to_match_like_pattern": _of_column(
        lambda column, kwargs: _text(column).like(kwargs["like_pattern"])
    ),
    "expect_column_values_to_not_match_like_pattern": _of_column(
        lambda column, kwargs: ~_text(column).like(kwargs["like_pattern"])
    ),
    "expect_column_values_to_be_between": _of_column(within),
    "expect_column_value_lengths_to_be_between": _of_column(
        lambda column, kwargs: within(_text(column).length(), kwargs)
    ),
    "expect_column_value_lengths_to_equal": _of_column(
        lambda column, kwargs: _text(column).length() == int(kwargs["value"])
    ),
    "expect_column_pair_values_a_to_be_greater_than_b": _of_pair(_greater),
    "expect_column_pair_values_to_be_equal": _of_pair(lambda a, b, kwargs: (a == b) & a.notnull() & b.notnull()),
    "expect_column_pair_values_to_be_in_set": _of_pair(_pair_in_set),
    "expect_select_column_values_to_be_unique_within_record": _of_record(_all_differ),
    "expect_multicolumn_sum_to_equal": _of_record(
        lambda columns, kwargs: reduce(operator.add, columns) == kwargs["sum_total"]
    ),
}
