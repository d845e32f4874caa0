"""Asks a suite of a table: one pass over it, and as few queries beside as there are questions that need them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.lake.compiled import standing_in
from bioreactor_lake.quality.comparisons import NotAskable
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.kept_questions import kept_question, key_of
from bioreactor_lake.quality.limits import with_limits
from bioreactor_lake.quality.one_pass import fold, measure
from bioreactor_lake.quality.querying import Row, is_answering, is_interruption
from bioreactor_lake.quality.questions import BATCH, Answers, Judgement, Question, Subject
from bioreactor_lake.quality.row_questions import ROW_QUESTIONS
from bioreactor_lake.quality.samples import name_values, take_samples
from bioreactor_lake.quality.several_rows import SEVERAL_ROWS
from bioreactor_lake.quality.suite import Suite
from bioreactor_lake.quality.table_questions import TABLE_QUESTIONS
from bioreactor_lake.quality.tag_questions import TAG_QUESTIONS
from bioreactor_lake.quality.tags import Tag
from bioreactor_lake.quality.value_questions import VALUE_QUESTIONS
from bioreactor_lake.quality.verdicts import WARN, Verdict

QUESTIONS: Mapping[str, Callable[[Subject, Expectation], Question]] = {
    **ROW_QUESTIONS,
    **TAG_QUESTIONS,
    **SEVERAL_ROWS,
    **VALUE_QUESTIONS,
    **TABLE_QUESTIONS,
}

_NO_QUESTION = Question(lambda answers: Judgement(False, None))


@dataclass
class _Asked:
    """An expectation on its way to its verdicts; one with an error gets no further."""

    expectation: Expectation
    subject: Subject
    question: Question = _NO_QUESTION
    answers: Answers = field(default_factory=dict)
    error: str = ""


def check_table(
    table: ir.Table,
    suite: Suite,
    *,
    batches: Sequence[str] | None = None,
    tables: Mapping[str, ir.Table] | None = None,
    tags: Mapping[str, Tag] | None = None,
    equipment: Iterable[str] = (),
    now: datetime | None = None,
    samples: int = 5,
) -> list[Verdict]:
    """Ask a suite of a table as it is now.

    An expectation about rows has a verdict for each batch that there is, or that is named, where the table has
    batches; others have one for the table, whichever batches are named. One that cannot be asked, or whose query
    fails, has one failed verdict about the table, with the error.

    Args:
        table: The table, on DuckDB or Postgres. In Postgres a transaction under way goes on.
        suite: What is expected of it.
        batches: The batches that verdicts are wanted for; None for all. A named one that has no rows has verdicts too.
        tables: Other tables that the suite names.
        tags: The tags that have limits.
        equipment: The equipment that should be heard of.
        now: The moment of the check, UTC; None for the clock's.
        samples: How many failing rows to show for each expectation and batch.

    Raises:
        Exception: The table cannot be read at all, as the engine says it.
    """
    tags, tables = tags or {}, tables or {}
    table = with_limits(table, suite, tags)
    has_batches = BATCH in table.columns
    named = None if batches is None or not has_batches else tuple(dict.fromkeys(batches))
    moment = {} if now is None else {"now": now}
    whole = Subject(suite.table, table, table, False, None, tables, tags, tuple(equipment), **moment)
    with standing_in(named or ()) as stand_ins:
        narrowed = table if named is None else table.filter(table[BATCH].isin(stand_ins))
        of_batches = replace(whole, table=narrowed, by_batch=True, batches=None if named is None else stand_ins)
        subjects = {True: of_batches, False: whole}
        keys = {by_batch: key_of(subject) for by_batch, subject in subjects.items()}
        by_batch = [has_batches and one.scope == "batch" for one in suite.expectations]
        asked = [_put(one, subjects[by], keys[by]) for one, by in zip(suite.expectations, by_batch, strict=True)]
        found = _answer_in_one_pass(asked, named)
        _ask_elsewhere(asked)
        for one in asked:
            _ask_more(one)
        return [verdict for one in asked for verdict in _judge(suite, one, found, samples)]


def _put(expectation: Expectation, subject: Subject, key: Hashable) -> _Asked:
    asked = _Asked(expectation, subject)

    def put() -> None:
        asked.question = kept_question(QUESTIONS[expectation.type], subject, key, expectation)

    _guarded(asked, put)
    return asked


def _answer_in_one_pass(asked: Sequence[_Asked], named: tuple[str, ...] | None) -> tuple[Any, ...]:
    """Measure what is asked of batches in one query, and of the table in another where it does not follow."""
    askable = [one for one in asked if not one.error]
    of_batches = [one for one in askable if one.subject.by_batch]
    of_table = [one for one in askable if not one.subject.by_batch and one.question.measures]
    folded: list[_Asked] = []
    if of_batches and named is None:
        folded = [one for one in of_table if all(m.fold is not None for m in one.question.measures.values())]
    _measure([*of_batches, *folded], by_batch=True)
    _measure([one for one in of_table if one not in folded], by_batch=False)
    found = {batch for one in of_batches for batch in one.answers} | set(named or ())
    for one in folded:
        if not one.error:
            one.answers = fold(one.answers, one.question.measures)
    return tuple(sorted(found, key=lambda batch: (batch is not None, batch)))


def _measure(asked: Sequence[_Asked], *, by_batch: bool) -> None:
    if asked:
        _or_each(asked, partial(_ask_together, by_batch=by_batch))


def _or_each(asked: Sequence[_Asked], act: Callable[[Sequence[_Asked]], None]) -> None:
    """Do something for all expectations at once; where one takes the others with it, for each by itself."""
    try:
        act(asked)
    except Exception as error:
        if is_interruption(error) or not is_answering(asked[0].subject.table.get_backend()):
            raise
        for one in asked:
            _guarded(one, partial(act, [one]))


def _ask_together(asked: Sequence[_Asked], *, by_batch: bool) -> None:
    found = measure(asked[0].subject.table, [one.question.measures for one in asked], by_batch=by_batch)
    for one, answers in zip(asked, found, strict=True):
        one.answers = answers


def _ask_elsewhere(asked: Sequence[_Asked]) -> None:
    """Measure what is asked of other tables, in one query for the same rows."""
    together: dict[Any, list[_Asked]] = {}
    for one in asked:
        if one.question.elsewhere is not None and not one.error:
            together.setdefault((one.question.elsewhere.rows.op(), one.subject.by_batch), []).append(one)
    for group in together.values():
        _or_each(group, _measure_elsewhere)


def _measure_elsewhere(asked: Sequence[_Asked]) -> None:
    elsewhere = [one.question.elsewhere for one in asked if one.question.elsewhere is not None]
    found = measure(elsewhere[0].rows, [each.measures for each in elsewhere], by_batch=asked[0].subject.by_batch)
    for one, answers in zip(asked, found, strict=True):
        for batch, more in answers.items():
            one.answers.setdefault(batch, {}).update(more)


def _ask_more(asked: _Asked) -> None:
    question = asked.question
    if question.ask is None or asked.error:
        return

    more_of = question.ask

    def ask() -> None:
        for batch, more in more_of(asked.answers).items():
            asked.answers.setdefault(batch, {}).update(more)

    _guarded(asked, ask)


def _guarded(asked: _Asked, act: Callable[[], None]) -> None:
    """Do something for an expectation; what fails is its error, unless the engine is gone or a signal asked for it."""
    try:
        act()
    except NotAskable as error:
        asked.error = str(error)
    except Exception as error:
        if is_interruption(error) or not is_answering(asked.subject.table.get_backend()):
            raise
        lines = str(error).strip().splitlines()
        asked.error = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _judge(suite: Suite, asked: _Asked, found: Sequence[Any], limit: int) -> list[Verdict]:
    one = asked.expectation
    base = Verdict(suite.name, one.id, one.type, one.kwargs, suite.table, None, one.severity, False)
    verdicts: list[Verdict] = []

    def judge() -> None:
        batches = _batches_of(asked, found)
        judged = {batch: asked.question.judge(_complete(asked, batch)) for batch in batches}
        counts = {batch: said.failing_rows for batch, said in judged.items() if not said.success and said.failing_rows}
        samples: dict[Any, tuple[Row, ...]] = {}
        if counts and limit and asked.question.failing is not None:
            samples = take_samples(asked.subject, asked.question.failing(), counts, limit, asked.question.order)
        for batch, said in judged.items():
            verdicts.append(
                replace(
                    base,
                    batch=batch,
                    success=said.success,
                    observed=said.observed,
                    rows=said.rows,
                    failing_rows=said.failing_rows,
                    samples=samples.get(batch, ()) if batch in counts else (),
                )
            )
        verdicts.extend(_notices(base, asked, batches))

    if not asked.error:
        _guarded(asked, judge)
    return [replace(base, error=asked.error)] if asked.error else verdicts


def _batches_of(asked: _Asked, found: Sequence[Any]) -> list[Any]:
    """What an expectation has verdicts about: the batches that were found, and those that its own queries found."""
    if not asked.subject.by_batch:
        return [None]
    more = set(asked.answers).difference(found) if asked.subject.batches is None else set()
    return [*found, *sorted(more, key=lambda batch: (batch is not None, batch))]


def _complete(asked: _Asked, batch: Any) -> dict[str, Any]:
    empty = {name: one.empty for name, one in asked.question.measures.items()}
    return empty | asked.answers.get(batch, {})


def _notices(base: Verdict, asked: _Asked, batches: Sequence[Any]) -> list[Verdict]:
    notice = asked.question.notice
    if notice is None:
        return []
    counts = {batch: _complete(asked, batch)[notice.count] for batch in batches}
    if not any(counts.values()):
        return []
    names = name_values(asked.subject, notice)
    return [
        replace(
            base,
            expectation_id=f"{base.expectation_id}.{notice.suffix}",
            batch=batch,
            severity=WARN,
            observed=names.get(batch, []),
            rows=count,
            failing_rows=count,
            said=notice.say(count, names.get(batch, [])),
        )
        for batch, count in counts.items()
        if count
    ]
