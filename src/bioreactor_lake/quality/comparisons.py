"""Values as configuration spells them, compared with those of columns."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import reduce
from math import isnan
from typing import Any

import ibis
import ibis.expr.types as ir


class NotAskable(Exception):  # noqa: N818 - an answer, not a fault
    """Why an expectation cannot be asked of a table."""


def all_of(*conditions: ir.BooleanValue | None) -> ir.BooleanValue:
    """All of some conditions, of which some may be left out."""
    given = [condition for condition in conditions if condition is not None]
    return reduce(operator.and_, given) if given else ibis.literal(True)


def fit(column: ir.Value, value: Any) -> Any:
    """A value as configuration spells it, of a type that the column can be compared with.

    Raises:
        NotAskable: They cannot be compared.
    """
    kind = column.type()
    if kind.is_timestamp() or kind.is_date():
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise NotAskable(f"{value!r} is no time, and {column.get_name()} holds times.") from None
        if not isinstance(value, date):
            raise NotAskable(f"{value!r} is no time, and {column.get_name()} holds times.")
        if kind.is_date():
            return ibis.literal(value.date() if isinstance(value, datetime) else value, type="date")
        moment = _moment(value)
        return ibis.literal(moment if kind.timezone else moment.replace(tzinfo=None), type=kind)
    if kind.is_string() != isinstance(value, str) or kind.is_boolean() != isinstance(value, bool):
        raise NotAskable(f"{column.get_name()} is {kind} and cannot be compared with {value!r}.")
    return value


def in_utc(moment: datetime) -> datetime:
    """A time with its zone; one without is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def within(column: ir.Value, kwargs: Mapping[str, Any]) -> ir.BooleanValue:
    """Whether values lie between `min_value` and `max_value`; what is no number lies nowhere."""
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    parts = [~column.isnan()] if column.type().is_floating() else []
    if low is not None:
        parts.append(column > fit(column, low) if kwargs.get("strict_min") else column >= fit(column, low))
    if high is not None:
        parts.append(column < fit(column, high) if kwargs.get("strict_max") else column <= fit(column, high))
    return all_of(*parts)


def is_between(value: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether a value lies between `min_value` and `max_value`."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return False
    if isinstance(value, date):
        value = _moment(value)
    low, high = (_moment(kwargs[name]) if kwargs.get(name) is not None else None for name in ("min_value", "max_value"))
    above = low is None or (value > low if kwargs.get("strict_min") else value >= low)
    return bool(above and (high is None or (value < high if kwargs.get("strict_max") else value <= high)))


def _moment(value: Any) -> Any:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return in_utc(value)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else value
