"""Expectations about a column as a whole: means, quantiles, sets of values, freshness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from math import isclose
from typing import Any

import ibis
import ibis.expr.types as ir

from bioreactor_lake.quality.comparisons import NotAskable, all_of, fit, in_utc, is_between
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.questions import (
    Answers,
    Judgement,
    Measure,
    Question,
    Subject,
    ask_by,
    count_rows,
    judge_between,
)

Ask = Callable[[Subject, Expectation], Question]


def _of_statistic(
    aggregate: Callable[[Any, Any], ir.Scalar],
    *,
    numeric: bool = False,
    empty: Any = None,
    fold: Callable[[Any], Any] | None = None,
) -> Ask:
    """A question about an aggregate of a column, in which nulls are passed over."""

    def ask(subject: Subject, expectation: Expectation) -> Question:
        column = subject.column(expectation.kwargs["column"])
        if numeric and not column.type().is_numeric():
            raise NotAskable(f"{column.get_name()} is {column.type()}, no number.")
        value = Measure(aggregate(column, subject.where(expectation)), empty, fold)
        return Question(judge_between(expectation.kwargs), {"value": value})

    return ask


def _least(values: Any) -> Any:
    return min((value for value in values if value is not None), default=None)


def _largest(values: Any) -> Any:
    return max((value for value in values if value is not None), default=None)


def _ask_unique_share(subject: Subject, expectation: Expectation) -> Question:
    column, where = subject.column(expectation.kwargs["column"]), subject.where(expectation)

    def judge(answers: Mapping[str, Any]) -> Judgement:
        # Great Expectations says 0 where there is nothing.
        share = answers["distinct"] / answers["present"] if answers["present"] else 0
        return Judgement(is_between(share, expectation.kwargs), share)

    return Question(
        judge, {"distinct": Measure(column.nunique(where=where), 0), "present": Measure(column.count(where=where), 0)}
    )


def _ask_present_share(subject: Subject, expectation: Expectation) -> Question:
    column, where = subject.column(expectation.kwargs["column"]), subject.where(expectation)

    def judge(answers: Mapping[str, Any]) -> Judgement:
        share = answers["present"] / answers["rows"] if answers["rows"] else 0
        return Judgement(is_between(share, expectation.kwargs), share)

    rows = subject.table.count(where=where)
    return Question(judge, {"rows": Measure(rows, 0, sum), "present": Measure(column.count(where=where), 0, sum)})


def _ask_quantiles(subject: Subject, expectation: Expectation) -> Question:
    """Quantiles as SQL's percentile_disc has them: values that are there, not between two of them."""
    ranges = expectation.kwargs["quantile_ranges"]
    subject.column(expectation.kwargs["column"])

    def ask(measured: Answers) -> Answers:
        rows = subject.table.filter(all_of(subject.where(expectation)))
        rows = rows.filter(rows[expectation.kwargs["column"]].notnull())
        value = rows[expectation.kwargs["column"]]
        groups = [rows.batch_id] if subject.by_batch else []
        rows = rows.mutate(lake_share=ibis.cume_dist().over(group_by=groups, order_by=value))
        value = rows[expectation.kwargs["column"]]
        return ask_by(
            subject,
            rows,
            **{f"q{n}": value.min(where=rows.lake_share >= share) for n, share in enumerate(ranges["quantiles"])},
        )

    def judge(answers: Mapping[str, Any]) -> Judgement:
        values = [answers.get(f"q{n}") for n in range(len(ranges["quantiles"]))]
        pairs = zip(values, ranges["value_ranges"], strict=True)
        success = all(value is not None and _is_in(value, low, high) for value, (low, high) in pairs)
        return Judgement(success, {"quantiles": list(ranges["quantiles"]), "values": values})

    return Question(judge, ask=ask)


def _is_in(value: Any, low: float | None, high: float | None) -> bool:
    # Great Expectations is lenient to 1e-4 here.
    if any(bound is not None and isclose(value, bound, rel_tol=1e-4) for bound in (low, high)):
        return True
    return (low is None or value >= low) and (high is None or value <= high)


def _of_set(*, may_lack: bool, may_have_more: bool) -> Ask:
    """A question about the values that a column has, each counted once; null is none."""

    def ask(subject: Subject, expectation: Expectation) -> Question:
        column, where = subject.column(expectation.kwargs["column"]), subject.where(expectation)
        wanted = [value for value in expectation.kwargs["value_set"] if value is not None]
        fitting = [fit(column, value) for value in wanted]
        measures, failing = {}, None
        if not may_lack:
            for number, value in enumerate(fitting):
                measures[f"found{number}"] = count_rows(subject.table, where, column == value)
        if not may_have_more:
            other = all_of(where, column.notnull(), ~column.isin(fitting))
            measures |= {"others": Measure(column.nunique(where=other), 0), "failing": count_rows(subject.table, other)}

            def failing() -> ir.Table:
                return subject.table.filter(other)

        def judge(answers: Mapping[str, Any]) -> Judgement:
            missing = [value for number, value in enumerate(wanted) if answers.get(f"found{number}", 1) == 0]
            others = answers.get("others", 0)
            observed = {} if may_have_more else {"unexpected_values": others}
            observed |= {} if may_lack else {"missing": missing}
            return Judgement(not missing and not others, observed, failing_rows=answers.get("failing"))

        return Question(judge, measures, failing=failing)

    return ask


def _ask_newest(subject: Subject, expectation: Expectation) -> Question:
    """Whether the newest time is no older than some hours, nor as far ahead: a slip in one date would hide the rest."""
    column = subject.column(expectation.kwargs["column"])
    if not column.type().is_timestamp():
        raise NotAskable(f"{column.get_name()} is {column.type()}, no time.")
    allowed = timedelta(hours=expectation.kwargs["hours"])

    def judge(answers: Mapping[str, Any]) -> Judgement:
        if answers["newest"] is None:
            return Judgement(False, None)
        newest = in_utc(answers["newest"])
        age = in_utc(subject.now) - newest
        observed = {"newest": newest.isoformat(), "hours": round(age / timedelta(hours=1), 2)}
        return Judgement(abs(age) <= allowed, observed)

    return Question(judge, {"newest": Measure(column.max(where=subject.where(expectation)), None, _largest)})


VALUE_QUESTIONS: Mapping[str, Ask] = {
    "expect_column_mean_to_be_between": _of_statistic(lambda column, where: column.mean(where=where), numeric=True),
    "expect_column_median_to_be_between": _of_statistic(lambda column, where: column.median(where=where), numeric=True),
    "expect_column_stdev_to_be_between": _of_statistic(
        lambda column, where: column.std(how="sample", where=where), numeric=True
    ),
    "expect_column_sum_to_be_between": _of_statistic(lambda column, where: column.sum(where=where), numeric=True),
    "expect_column_min_to_be_between": _of_statistic(lambda column, where: column.min(where=where), fold=_least),
    "expect_column_max_to_be_between": _of_statistic(lambda column, where: column.max(where=where), fold=_largest),
    "expect_column_unique_value_count_to_be_between": _of_statistic(
        lambda column, where: column.nunique(where=where), empty=0
    ),
    "expect_column_proportion_of_unique_values_to_be_between": _ask_unique_share,
    "expect_column_proportion_of_non_null_values_to_be_between": _ask_present_share,
    "expect_column_quantile_values_to_be_between": _ask_quantiles,
    "expect_column_distinct_values_to_be_in_set": _of_set(may_lack=True, may_have_more=False),
    "expect_column_distinct_values_to_contain_set": _of_set(may_lack=False, may_have_more=True),
    "expect_column_distinct_values_to_equal_set": _of_set(may_lack=False, may_have_more=False),
    "expect_newest_to_be_within": _ask_newest,
}
