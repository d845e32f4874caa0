"""The kinds of arguments that expectations take."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from math import isfinite
from string import Formatter
from typing import Any

from bioreactor_lake.quality.conditions import NotUnderstood, read_condition
from bioreactor_lake.quality.types import TYPE_NAMES


@dataclass(frozen=True)
class Kind:
    """A kind of argument.

    Args:
        words: What it is, for messages.
        fits: Whether a value is one.
    """

    words: str
    fits: Callable[[Any], bool]


def one_of(*words: str) -> Kind:
    """One of some words."""
    return Kind(f"one of {', '.join(words)}", lambda value: value in words)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_list(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and bool(value) and all(map(fits, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | date) or is_number(value)


def _is_type(value: Any) -> bool:
    return isinstance(value, str) and value.upper() in TYPE_NAMES


def _is_regex(value: Any) -> bool:
    try:
        return _is_text(value) and bool(re.compile(value))
    except re.error:
        # The engines know classes of characters that Python does not; what they refuse becomes a failed verdict.
        return r"\p" in value or r"\P" in value or "[[:" in value


def _is_bound(value: Any) -> bool:
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return False
        return True
    return isinstance(value, date) or is_number(value)


def _is_query(value: Any) -> bool:
    try:
        return _is_text(value) and {part[1] for part in Formatter().parse(value)} - {None} == {"batch"}
    except ValueError:
        return False


def _is_condition(value: Any) -> bool:
    try:
        return bool(read_condition(value))
    except (NotUnderstood, TypeError, AttributeError):
        return False


def _is_ranges(value: Any) -> bool:
    if not isinstance(value, Mapping) or set(value) != {"quantiles", "value_ranges"}:
        return False
    quantiles, ranges = value["quantiles"], value["value_ranges"]
    pair = _is_list(lambda bound: bound is None or is_number(bound))
    return (
        _is_list(lambda share: is_number(share) and 0 <= share <= 1)(quantiles)
        and _is_list(lambda one: pair(one) and len(one) == 2)(ranges)
        and len(quantiles) == len(ranges)
    )


COLUMN = Kind("the name of a column", _is_text)
COLUMNS = Kind("a list of columns", _is_list(_is_text))
NAME = Kind("the name of a table", _is_text)
TYPE = Kind("a type such as TEXT, BIGINT, DOUBLE_PRECISION or TIMESTAMP", _is_type)
TYPES = Kind("a list of types such as TEXT, BIGINT, DOUBLE_PRECISION or TIMESTAMP", _is_list(_is_type))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
NUMBER = Kind("a number", is_number)
COUNT = Kind("a whole number", lambda value: is_number(value) and value == int(value))
BOUND = Kind("a number, or a date or time as ISO 8601 writes it", _is_bound)
SHARE = Kind("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
VALUES = Kind("a list of texts or numbers", _is_list(_is_scalar))
PAIRS = Kind("a list of pairs", _is_list(lambda pair: _is_list(_is_scalar)(pair) and len(pair) == 2))
REGEX = Kind("a regular expression", _is_regex)
REGEXES = Kind("a list of regular expressions", _is_list(_is_regex))
PATTERN = Kind("a LIKE pattern", _is_text)
RANGES = Kind("{quantiles: [0.1, …], value_ranges: [[low, high], …]}, as many ranges as quantiles", _is_ranges)
CONDITION = Kind('a condition such as status == "accepted"', _is_condition)
QUERY = Kind("a query that reads {batch} and has no other braces than {{ and }}", _is_query)
ANY_OR_ALL = one_of("any", "all")
OF_TWO = one_of("both_values_are_missing", "either_value_is_missing", "neither")
OF_MANY = one_of("all_values_are_missing", "any_value_is_missing", "never")
