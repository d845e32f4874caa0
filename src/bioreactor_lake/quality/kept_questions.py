"""Questions that a process which stays has put together already: an expectation of a table is the same each time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.lake import resident
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.questions import Question, Subject

OF_THE_CLOCK = ("expect_newest_to_be_within",)
"""Expectations of which the clock makes another question, and another verdict, although nothing has changed."""


def key_of(subject: Subject) -> Hashable:
    """What questions about a subject depend on, apart from the time; None in a process that does not stay."""
    if not resident.stays():
        return None
    others = tuple((name, _same(table)) for name, table in subject.tables.items())
    about = (subject.by_batch, subject.batches, _same(subject.table), _same(subject.whole))
    return (subject.name, *about, others, id(subject.tags), subject.equipment)


def kept_question(
    put: Callable[[Subject, Expectation], Question], subject: Subject, key: Hashable, expectation: Expectation
) -> Question:
    """The question of an expectation.

    Args:
        put: Puts it together.
        subject: What is asked.
        key: As of `key_of`.
        expectation: The expectation.
    """
    if key is None or expectation.type in OF_THE_CLOCK:
        return put(subject, expectation)
    # What is known by its id has to live as long as what is kept under it.
    question, *_ = resident.kept(
        ("question", id(expectation), key), lambda: (put(subject, expectation), expectation, subject)
    )
    return question


def _same(table: ir.Table) -> tuple[Any, ...]:
    """A table, and the connection that it is asked through: another to the same database counts as equal in Ibis."""
    return id(table.get_backend()), table.op()
