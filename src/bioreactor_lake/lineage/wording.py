"""Short texts for values, for people: `mean(value)`, `ts desc`, `value > 0`.

A column is said by its own expression where that is short, so that a text speaks of the columns of the tables that
are read, and else by its name. Beyond a length arguments are left out: a text does not grow with the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import singledispatch
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops

_LONGEST = 140
_LONGEST_COLUMN = 60
_LONGEST_LITERAL = 16
_LONGEST_ARGUMENT = (100, 70, 50, 35, 24)
_LEFT_OUT = "…"

_PLAIN = str | Enum | dt.DataType

_INFIX = {
    ops.Add: "+", ops.Subtract: "-", ops.Multiply: "*", ops.Divide: "/", ops.FloorDivide: "//", ops.Modulus: "%",
    ops.Power: "**", ops.Equals: "=", ops.NotEquals: "≠", ops.Greater: ">", ops.GreaterEqual: "≥", ops.Less: "<",
    ops.LessEqual: "≤", ops.And: "and", ops.Or: "or", ops.Xor: "xor", ops.StringConcat: "||",
    ops.TimestampAdd: "+", ops.TimestampSub: "-", ops.TimestampDiff: "-", ops.DateAdd: "+", ops.DateSub: "-",
    ops.DateDiff: "-", ops.IntervalAdd: "+", ops.IntervalSubtract: "-", ops.InSubquery: "in",
}  # fmt: skip
_NAMES = {
    "CountStar": "count", "CountDistinct": "nunique", "CountDistinctStar": "nunique", "StandardDev": "std",
    "Variance": "var", "ArrayCollect": "collect", "StructColumn": "struct", "SearchedCase": "case",
    "SimpleCase": "case", "IfElse": "ifelse", "ArgMax": "argmax", "ArgMin": "argmin", "MinRank": "rank",
    "ExistsSubquery": "exists", "FillNull": "fill_null", "TableUnnest": "unnest", "StringLength": "length",
    "IsNull": "isnull", "NotNull": "notnull", "RegexReplace": "re_replace", "RegexSearch": "re_search",
    "RegexExtract": "re_extract", "NullIf": "nullif", "IntervalFromInteger": "interval",
}  # fmt: skip


def say(node: Any, inputs: Mapping[str, Any]) -> str:
    """The text of a node.

    Args:
        node: The operation.
        inputs: Its arguments by name. Values have a `text`, and a `name` where they are columns; of others, words and
            types are told.
    """
    for longest in (_LONGEST, *_LONGEST_ARGUMENT):
        if len(text := _spell(node, inputs, longest)) <= _LONGEST:
            return text
    return f"{_name(node)}({_LEFT_OUT})"


def without_parentheses(text: str) -> str:
    """The text of a value that stands by itself.

    >>> without_parentheses("((a + b) / c)"), without_parentheses("(a) + (b)")
    ('(a + b) / c', '(a) + (b)')
    """
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1]


@singledispatch
def _spell(node: Any, inputs: Mapping[str, Any], longest: int) -> str:
    texts = list(_texts({name: value for name, value in inputs.items() if name != "where"}, longest))
    where = inputs.get("where")
    condition = "" if where is None else f" where {without_parentheses(_shortened(where, longest))}"
    if (sign := _INFIX.get(type(node))) is not None:
        return "(" + f" {sign} ".join(texts) + ")"
    return f"{_name(node)}({', '.join(map(without_parentheses, texts))}{condition})"


@_spell.register(ops.Literal)
def _literal(node: Any, inputs: Mapping[str, Any], longest: int) -> str:
    if node.value is None:
        return "null"
    if isinstance(node.value, str):
        text = node.value if len(node.value) <= _LONGEST_LITERAL else f"{node.value[:_LONGEST_LITERAL]}{_LEFT_OUT}"
        return repr(text)
    return str(node.value)


@_spell.register(ops.Set)
def _union(node: Any, inputs: Mapping[str, Any], longest: int) -> str:
    return str(inputs["name"])


@_spell.register(ops.Alias)
@_spell.register(ops.WindowBoundary)
def _same(node: Any, inputs: Mapping[str, Any], longest: int) -> str:
    return next(_texts(inputs, longest))


@_spell.register(ops.Not)
def _not(node: Any, inputs: Mapping[str, Any], longest: int) -> str:
    return f"not {_shortened(inputs['arg'], longest)}"


@_spell.register(ops.SortKey)
def _sort_key(node: Any, inputs: Mapping[str, Any], longest: int) -> str:
    return _shortened(inputs["arg"], longest) + ("" if node.ascending else " desc")


@_spell.register(ops.InValues)
def _in_values(node: Any, inputs: Mapping[str, Any], longest: int) -> str:
    value, *options = _texts(inputs, longest)
    return f"({value} in ({', '.join(options)}))"


@_spell.register(ops.WindowFunction)
def _window(node: Any, inputs: Mapping[str, Any], longest: int) -> str:
    func, groups, order = (list(_texts(inputs[name], longest)) for name in ("func", "group_by", "order_by"))
    frame = [f"{word} {', '.join(texts)}" for word, texts in (("by", groups), ("order", order)) if texts]
    return f"{func[0]} over ({'; '.join(frame)})"


def _name(node: Any) -> str:
    name: str = getattr(node, "__func_name__", None) or type(node).__name__
    return _NAMES.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _texts(inputs: Any, longest: int) -> Iterator[str]:
    if hasattr(inputs, "text"):
        yield _shortened(inputs, longest)
    elif isinstance(inputs, Mapping):
        for one in inputs.values():
            yield from [str(getattr(one, "value", one))] if isinstance(one, _PLAIN) else _texts(one, longest)
    elif isinstance(inputs, tuple):
        for one in inputs:
            yield from _texts(one, longest)


def _shortened(value: Any, longest: int) -> str:
    if value.name:
        return str(value.text if len(value.text) <= min(longest, _LONGEST_COLUMN) else value.name)
    return value.text if len(value.text) <= longest else _LEFT_OUT
