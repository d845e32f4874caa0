"""Expectations that look up what tags.yml says of a row's tag; tags that it does not list pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from bioreactor_lake.quality.comparisons import NotAskable, all_of
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.limits import limits_of
from bioreactor_lake.quality.questions import Notice, Question, Subject, ask_rows, count_rows

_SAID = 5
# Parts a tag from a unit where both are one text; in neither.
_BETWEEN = "\x1f"


def ask_limits(subject: Subject, expectation: Expectation) -> Question:
    """Whether values lie within the limits of their tag; tags without an entry are named."""
    kwargs = expectation.kwargs
    column, tag = subject.column(kwargs["column"]), _tag(subject, kwargs)
    is_known, low, high = limits_of(subject.table, tag.get_name(), kwargs["limits"])
    # A tag without a limit on one side has an infinite one there.
    expected = column.between(low, high)
    if column.type().is_floating():
        expected = ~column.isnan() & expected
    question = ask_rows(subject, expectation, expected, all_of(column.notnull(), is_known))
    unknown = all_of(subject.where(expectation), column.notnull(), ~is_known)
    known = sorted(subject.tags)
    return Question(
        question.judge,
        {**question.measures, "unknown": count_rows(subject.table, unknown)},
        failing=question.failing,
        notice=Notice(
            "unknown_tags",
            "unknown",
            subject.table.filter(unknown),
            tag.get_name(),
            lambda count, tags: name_unknown_tags(count, tags, known),
        ),
    )


def ask_units(subject: Subject, expectation: Expectation) -> Question:
    """Whether a unit is that of the tag, in one of its spellings; nulls are passed over."""
    column, tag = _text(subject, expectation.kwargs["column"]), _tag(subject, expectation.kwargs)
    allowed = [name + _BETWEEN + unit for name, one in sorted(subject.tags.items()) for unit in one.spellings]
    is_known = tag.isin(sorted(subject.tags))
    return ask_rows(subject, expectation, (tag + _BETWEEN + column).isin(allowed), all_of(column.notnull(), is_known))


def ask_share(subject: Subject, expectation: Expectation) -> Question:
    """Whether one count is no more than a share of another; rows in which one is null are passed over."""
    kwargs = expectation.kwargs
    part, total = subject.column(kwargs["column"]), subject.column(kwargs["of_column"])
    is_known = _tag(subject, kwargs).isin(sorted(subject.tags))
    considered = all_of(part.notnull(), total.notnull(), is_known)
    return ask_rows(subject, expectation, part <= total * float(kwargs["max_share"]), considered)


def name_unknown_tags(count: int, tags: Sequence[Any], known: Sequence[str]) -> str:
    """What is said of tags that have no entry.

    >>> name_unknown_tags(30, ["Temp", "pH"], ["ph", "temperature"])
    '30 rows are of tags that tags.yml does not list: Temp, pH (did you mean ph?)'
    """
    by_case = {name.casefold(): name for name in known}
    names = []
    for tag in map(str, tags[:_SAID]):
        near = get_close_matches(tag.casefold(), by_case, n=1, cutoff=0.75)
        names.append(f"{tag} (did you mean {by_case[near[0]]}?)" if near else tag)
    more = f" and {len(tags) - _SAID:,} more" if len(tags) > _SAID else ""
    return f"{count:,} rows are of tags that tags.yml does not list: {', '.join(names)}{more}"


def _tag(subject: Subject, kwargs: Mapping[str, Any]) -> Any:
    return _text(subject, kwargs.get("tag_column", "tag"))


def _text(subject: Subject, name: str) -> Any:
    column = subject.column(name)
    if not column.type().is_string():
        raise NotAskable(f"{name} is {column.type()}, and tags and units are text.")
    return column


TAG_QUESTIONS: Mapping[str, Callable[[Subject, Expectation], Question]] = {
    "expect_column_values_to_be_between_per_tag": ask_limits,
    "expect_column_values_to_be_unit_of_tag": ask_units,
    "expect_share_of_known_tags_to_be_at_most": ask_share,
}
