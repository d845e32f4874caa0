"""Row conditions: which rows an expectation is about, in the spellings of Great Expectations.

Read as a tree of a few known forms, and never handed to an interpreter or an engine as text. Three spellings are
read: `col("tag") == "ph"` (its own), `tag == "ph" and value > 3` (of pandas), and what it exports today, such as
`{type: comparison, column: {name: tag}, operator: "==", parameter: ph}`.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis.expr.types as ir


class NotUnderstood(ValueError):  # noqa: N818 - an answer, not a fault
    """A condition of another form; the text says which part."""


@dataclass(frozen=True)
class Column:
    """A column."""

    name: str


@dataclass(frozen=True)
class Comparison:
    """A column compared with a value, a list of values or another column."""

    left: Column
    sign: str
    right: Any


@dataclass(frozen=True)
class IsNull:
    """Whether a column is null."""

    column: Column


@dataclass(frozen=True)
class Not:
    """The opposite; unknown stays unknown, as in SQL."""

    part: Condition


@dataclass(frozen=True)
class Joined:
    """Several conditions, all of which or one of which must hold."""

    all_of: bool
    parts: tuple[Condition, ...]


Condition = Comparison | IsNull | Not | Joined

_SIGNS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "IN",
    ast.NotIn: "NOT_IN",
}  # fmt: skip
_TURNED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_BACKTICKED = re.compile(r"`([^`]+)`")


def read_condition(said: str | Mapping[str, Any]) -> Condition:
    """Read a row condition.

    >>> read_condition('tag == "ph" and value.notnull()')
    ... # doctest: +NORMALIZE_WHITESPACE
    Joined(all_of=True, parts=(Comparison(left=Column(name='tag'), sign='==', right='ph'),
           Not(part=IsNull(column=Column(name='value')))))

    Raises:
        NotUnderstood: It has a form that is not read; it is never guessed at.
    """
    if isinstance(said, Mapping):
        return _read_exported(said)
    text = _BACKTICKED.sub(lambda found: f"col({found[1]!r})", said.strip())
    # Great Expectations writes col("x").notNull() in any case.
    try:
        return _read(ast.parse(text, mode="eval").body)
    except (SyntaxError, RecursionError, ValueError) as error:
        if isinstance(error, NotUnderstood):
            raise
        raise NotUnderstood(f"{said!r} does not read as a condition") from error


def columns_of(condition: Condition) -> set[str]:
    """The columns that a condition looks at."""
    match condition:
        case Comparison(left, _, right):
            return {left.name} | ({right.name} if isinstance(right, Column) else set())
        case IsNull(column):
            return {column.name}
        case Not(part):
            return columns_of(part)
        case Joined(_, parts):
            return set().union(*map(columns_of, parts))


def apply_condition(condition: Condition, table: ir.Table, fit: Callable[[ir.Value, Any], Any]) -> ir.BooleanValue:
    """The condition as an expression on a table; null where SQL cannot tell.

    Args:
        condition: The condition.
        table: The table.
        fit: Makes a value, as configuration spells it, comparable with a column.
    """
    match condition:
        case Comparison(left, "IN" | "NOT_IN" as sign, values):
            column = table[left.name]
            among = column.isin([fit(column, value) for value in values])
            return among if sign == "IN" else ~among
        case Comparison(left, sign, right):
            column = table[left.name]
            return _COMPARE[sign](column, table[right.name] if isinstance(right, Column) else fit(column, right))
        case IsNull(column):
            return table[column.name].isnull()
        case Not(part):
            return ~apply_condition(part, table, fit)
        case Joined(all_of, parts):
            by = operator.and_ if all_of else operator.or_
            return reduce(by, (apply_condition(part, table, fit) for part in parts))


def _read(node: ast.expr) -> Condition:
    match node:
        case ast.BoolOp(op, values):
            return Joined(isinstance(op, ast.And), tuple(map(_read, values)))
        case ast.BinOp(left, ast.BitAnd() | ast.BitOr() as op, right):
            return Joined(isinstance(op, ast.BitAnd), (_read(left), _read(right)))
        case ast.UnaryOp(ast.Not() | ast.Invert(), part):
            return Not(_read(part))
        case ast.Compare(left, signs, rights):
            terms = [left, *rights]
            found = tuple(
                _compare(a, _SIGNS.get(type(sign), ""), b) for a, sign, b in zip(terms, signs, rights, strict=False)
            )
            return found[0] if len(found) == 1 else Joined(True, found)
        case ast.Call(ast.Attribute(value, attribute), [], []):
            if attribute.lower() in ("notnull", "notna"):
                return Not(IsNull(_column(value)))
            if attribute.lower() in ("isnull", "isna"):
                return IsNull(_column(value))
    raise NotUnderstood(f"{ast.unparse(node)!r} is not read")


def _compare(left: ast.expr, sign: str, right: ast.expr) -> Comparison:
    if sign in ("IN", "NOT_IN"):
        if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
            raise NotUnderstood(f"{ast.unparse(right)!r} is no list of values")
        return Comparison(_column(left), sign, tuple(map(_value, right.elts)))
    if not sign:
        raise NotUnderstood("a comparison by 'is' is not read")
    if _is_column(left):
        return Comparison(_column(left), sign, _column(right) if _is_column(right) else _value(right))
    if _is_column(right):
        return Comparison(_column(right), _TURNED[sign], _value(left))
    raise NotUnderstood(f"{ast.unparse(left)!r} is no column")


def _is_column(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "col"
    )


def _column(node: ast.expr) -> Column:
    match node:
        # A column of that name is written col("null").
        case ast.Name(name) if name.lower() not in ("null", "none", "nan", "true", "false"):
            return Column(name)
        case ast.Call(ast.Name("col"), [ast.Constant(str(name))], []):
            return Column(name)
    raise NotUnderstood(f"{ast.unparse(node)!r} is no column")


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(str() | bool() | int() | float() as value):
            return value
        case ast.UnaryOp(ast.USub() | ast.UAdd() as sign, ast.Constant(int() | float() as value)):
            return -value if isinstance(sign, ast.USub) else value
        case ast.Call(ast.Name("date"), [ast.Constant(str(value))], []):
            return value
    raise NotUnderstood(f"{ast.unparse(node)!r} is no text or number; null is asked for by .isnull() or .notnull()")


def _read_exported(said: Mapping[str, Any]) -> Condition:
    match said:
        case {"type": "comparison", "column": {"name": str(name)}, "operator": sign, "parameter": right}:
            if sign in ("IN", "NOT_IN") and isinstance(right, list | tuple) and right:
                return Comparison(Column(name), sign, tuple(right))
            if sign in _COMPARE and isinstance(right, str | bool | int | float):
                return Comparison(Column(name), sign, right)
            if sign in _COMPARE and isinstance(right, Mapping) and set(right) == {"name"}:
                return Comparison(Column(name), sign, Column(right["name"]))
        case {"type": "nullity", "column": {"name": str(name)}, "is_null": bool(is_null)}:
            return IsNull(Column(name)) if is_null else Not(IsNull(Column(name)))
        case {"type": "and" | "or" as kind, "conditions": [*parts]} if parts:
            return Joined(kind == "and", tuple(map(_read_exported, parts)))
        case {"type": "pass_through", "pass_through_filter": str(text)}:
            return read_condition(text)
    raise NotUnderstood(f"{dict(said)!r} is no condition of Great Expectations")
