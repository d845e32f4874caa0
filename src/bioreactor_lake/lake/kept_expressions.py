"""Expressions that nodes have made: a process that stays does not have them made again of the same tables.

Nodes are pure functions from expressions to an expression, and Ibis takes longer to put one together than DuckDB takes
for the rows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import wraps
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.lake import resident

_PLAIN = (str, int, float, bool, type(None))


class _NotPlain(Exception):  # noqa: N818 - an answer, not a fault
    """Something of which two cannot be said to be the same."""


def keep_expressions(function: Callable[..., Any]) -> Callable[..., Any]:
    """A node's function that keeps what it returns, in a process that stays; elsewhere the function itself."""
    if not resident.stays():
        return function

    @wraps(function)
    def kept(*inputs: Any, **named: Any) -> Any:
        try:
            key = (function, _key(inputs), _key(named))
        except _NotPlain:
            return function(*inputs, **named)
        return resident.kept(key, lambda: function(*inputs, **named))

    return kept


def _key(value: Any) -> Hashable:
    if isinstance(value, ir.Table):
        found: Hashable = value.op()
        return found
    if isinstance(value, _PLAIN):
        # 1, 1.0 and True are equal, and are not the same.
        return type(value), value
    if isinstance(value, Mapping):
        return tuple((name, _key(item)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_key, value))
    raise _NotPlain
