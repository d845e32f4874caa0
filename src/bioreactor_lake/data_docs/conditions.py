"""Row conditions as Great Expectations writes them."""

from __future__ import annotations

from typing import Any

from bioreactor_lake.quality.comparisons import NotAskable
from bioreactor_lake.quality.conditions import Column, Comparison, Condition, IsNull, Joined, Not

_OPPOSITE = {
    "==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "IN": "NOT_IN", "NOT_IN": "IN",
}  # fmt: skip


def spell_condition(condition: Condition, *, turned: bool = False) -> dict[str, Any]:
    """A condition in the form in which Great Expectations exports it, which knows no "not".

    >>> spell_condition(Not(Comparison(Column("tag"), "==", "ph")))
    {'type': 'comparison', 'column': {'name': 'tag'}, 'operator': '!=', 'parameter': 'ph'}

    Args:
        condition: The condition.
        turned: Whether its opposite is meant; what is unknown stays so, as in SQL.

    Raises:
        NotAskable: It has no such form.
    """
    match condition:
        case Comparison(_, _, Column(name)):
            raise NotAskable(f"Great Expectations compares no column with a column, {name}.")
        case Comparison(left, sign, right):
            value = list(right) if isinstance(right, tuple) else right
            said = {"type": "comparison", "column": {"name": left.name}}
            return {**said, "operator": _OPPOSITE[sign] if turned else sign, "parameter": value}
        case IsNull(column):
            return {"type": "nullity", "column": {"name": column.name}, "is_null": not turned}
        case Not(part):
            return spell_condition(part, turned=not turned)
        case Joined(all_of, parts):
            kind = "and" if all_of != turned else "or"
            return {"type": kind, "conditions": [spell_condition(part, turned=turned) for part in parts]}
