"""What an expectation asks of a table: measures, and what follows from their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.quality.comparisons import NotAskable, all_of, fit, is_between
from bioreactor_lake.quality.conditions import apply_condition, columns_of
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.querying import fetch
from bioreactor_lake.quality.tags import Tag

BATCH = "batch_id"
Answers = dict[Any, dict[str, Any]]
"""Measures by batch; under None those of the table, or of rows without a batch."""


@dataclass(frozen=True)
class Subject:
    """What is asked.

    Args:
        name: The table, as the catalog names it.
        table: Its rows that verdicts are about, with the limits of their tags where the suite looks them up.
        whole: All of its rows.
        by_batch: Whether there is a verdict for each batch.
        batches: The batches that it is about; None for all.
        tables: Other tables by name.
        tags: The tags that have limits.
        equipment: The equipment that should be heard of.
        now: The moment of the check, UTC.
    """

    name: str
    table: ir.Table
    whole: ir.Table
    by_batch: bool
    batches: tuple[str, ...] | None = None
    tables: Mapping[str, ir.Table] = field(default_factory=dict)
    tags: Mapping[str, Tag] = field(default_factory=dict)
    equipment: tuple[str, ...] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def column(self, name: str) -> ir.Value:
        """A column by its name.

        Raises:
            NotAskable: There is none of that name.
        """
        return column_of(self.table, name, self.name)

    def other(self, name: str) -> ir.Table:
        """Another table by its name.

        Raises:
            NotAskable: There is none of that name.
        """
        try:
            return self.tables[name]
        except KeyError:
            raise NotAskable(f"There is no table {name} to compare with.") from None

    def where(self, expectation: Expectation, table: ir.Table | None = None) -> ir.BooleanValue | None:
        """The row condition of an expectation, or None."""
        if expectation.condition is None:
            return None
        for name in sorted(columns_of(expectation.condition)):
            self.column(name)
        return apply_condition(expectation.condition, self.table if table is None else table, fit)


@dataclass(frozen=True)
class Measure:
    """One number or value to find out.

    Args:
        value: The aggregate.
        empty: What it is where there are no rows.
        fold: How those of all batches make that of the table; None where they do not.
    """

    value: ir.Scalar
    empty: Any = None
    fold: Callable[[Iterable[Any]], Any] | None = None


@dataclass(frozen=True)
class Judgement:
    """What follows from the answers, as in `Verdict`."""

    success: bool
    observed: Any
    rows: int | None = None
    failing_rows: int | None = None


@dataclass(frozen=True)
class Notice:
    """Something that passes and should still be known.

    Args:
        suffix: What is added to the expectation's id.
        count: The measure that counts its rows.
        rows: The rows.
        column: The column whose values are named.
        say: What is said of so many rows with these values.
    """

    suffix: str
    count: str
    rows: ir.Table
    column: str
    say: Callable[[int, Sequence[Any]], str]


@dataclass(frozen=True)
class Elsewhere:
    """What is found out about rows of another table, in one pass over it however many expectations ask for it.

    Args:
        rows: The rows.
        measures: What is found out of them.
    """

    rows: ir.Table
    measures: Mapping[str, Measure]


@dataclass(frozen=True)
class Question:
    """What is asked for one expectation.

    Args:
        judge: What follows from the answers.
        measures: What is found out in the one pass over the table.
        elsewhere: What is found out about another table; None where nothing is.
        ask: Finds out more, by queries of its own, given the measures.
        failing: The rows that fail, as an expression or as SQL; None where it is not about rows.
        order: Columns to sort samples by, so that rows that fail because of each other stand together.
        notice: What else is said.
    """

    judge: Callable[[Mapping[str, Any]], Judgement]
    measures: Mapping[str, Measure] = field(default_factory=dict)
    elsewhere: Elsewhere | None = None
    ask: Callable[[Answers], Answers] | None = None
    failing: Callable[[], ir.Table | str] | None = None
    order: tuple[str, ...] = ()
    notice: Notice | None = None


def column_of(table: ir.Table, name: str, where: str) -> ir.Value:
    """A column of a table.

    Raises:
        NotAskable: There is none of that name.
    """
    if name not in table.columns:
        near = get_close_matches(name, table.columns) or table.columns
        raise NotAskable(f"{where} has no column {name}; there is {', '.join(near)}.")
    return table[name]


def count_rows(table: ir.Table, *conditions: ir.BooleanValue | None) -> Measure:
    """How many rows meet some conditions."""
    given = [condition for condition in conditions if condition is not None]
    return Measure(table.count(where=all_of(*given)) if given else table.count(), 0, sum)


def ask_by(subject: Subject, rows: ir.Table, **measures: ir.Scalar) -> Answers:
    """Measures of some rows, by batch where there is a verdict for each."""
    if subject.by_batch:
        return {row.pop(BATCH): row for row in fetch(rows.group_by(BATCH).agg(**measures))}
    return {None: fetch(rows.agg(**measures))[0]}


def ask_rows(
    subject: Subject, expectation: Expectation, expected: ir.BooleanValue, considered: ir.BooleanValue | None
) -> Question:
    """The question whether rows are as expected, each seen by itself.

    Args:
        subject: What is asked.
        expectation: What is expected of it.
        expected: Whether a row is as expected; one of which that is unknown does not fail.
        considered: Which rows it is about; None for all.
    """
    where = [subject.where(expectation), considered]
    failing = all_of(*where, ~expected)
    return Question(
        judge_rows(expectation),
        {"rows": count_rows(subject.table, *where), "failing": count_rows(subject.table, failing)},
        failing=lambda: subject.table.filter(failing),
    )


def judge_rows(expectation: Expectation) -> Callable[[Mapping[str, Any]], Judgement]:
    """Judge by the share of rows that fail, as Great Expectations does."""
    mostly = expectation.kwargs.get("mostly", 1)

    def judge(answers: Mapping[str, Any]) -> Judgement:
        rows, failing = answers["rows"], answers.get("failing") or 0
        success = rows == 0 or (rows - failing) / rows >= mostly
        return Judgement(success, failing / rows if rows else 0.0, rows, failing)

    return judge


def judge_between(kwargs: Mapping[str, Any], name: str = "value") -> Callable[[Mapping[str, Any]], Judgement]:
    """Judge by whether a measure lies between `min_value` and `max_value`; one that is nothing does not."""

    def judge(answers: Mapping[str, Any]) -> Judgement:
        value = answers[name]
        return Judgement(is_between(value, kwargs), value)

    return judge
