"""The structure of an expression as a hash: cheaper than its SQL, which follows from it."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.grounds import Annotable

from bioreactor_lake import __version__
from bioreactor_lake.lake import resident

_VALUES = (str, bytes, bool, int, float, type(None), date, datetime, time, timedelta, Decimal, dt.DataType, ibis.Schema)
_OPAQUE = (ops.InMemoryTable, ops.ScalarUDF, ops.AggUDF, ops.SQLQueryResult, ops.SQLStringView, ops.Impure)


class _Opaque(Exception):  # noqa: N818 - an answer, not a fault
    """A part whose content its arguments do not tell."""


def _is_builtin(value: Any) -> bool:
    """Whether it is a function of the engine under a name of ours: its name and types say it all."""
    return isinstance(value, ops.ScalarUDF) and value.__input_type__ is ops.udf.InputType.BUILTIN


def _name(node: Any) -> str:
    if not _is_builtin(node):
        return f"{type(node).__module__}.{type(node).__qualname__}"
    # Ibis makes a class of each, and numbers them.
    return f"builtin {node.__udf_namespace__}.{node.__func_name__} {node.dtype} "


@cache
def _sqlglot_version() -> str:
    return version("sqlglot")


def hash_structure(table: ir.Table) -> str | None:
    """Hash of the operations of an expression with all their arguments, or None where they do not say it all.

    Of two expressions with equal hashes, the SQL is equal too, and so is what this version of the project makes of
    them. It is the same in every process.
    """
    return resident.kept(("structure", table.op()), lambda: _hash(table))


def _hash(table: ir.Table) -> str | None:
    numbers: dict[Any, int] = {}
    lines: list[str] = [__version__, ibis.__version__, _sqlglot_version()]

    def spell(value: Any) -> str:
        if isinstance(value, _OPAQUE) and not _is_builtin(value):
            raise _Opaque
        if isinstance(value, Annotable):
            return f"#{number(value)}"
        if isinstance(value, enum.Enum):
            return f"{type(value).__qualname__}.{value.name}"
        if isinstance(value, _VALUES):
            return f"{type(value).__qualname__}{value!r}"
        if isinstance(value, Mapping):
            return f"{{{','.join(f'{spell(key)}:{spell(item)}' for key, item in value.items())}}}"
        if isinstance(value, tuple | list):
            return f"[{','.join(map(spell, value))}]"
        raise _Opaque

    def number(node: Any) -> int:
        if node not in numbers:
            # Whose connection a table belongs to is no part of what it is.
            arguments = [a for a, name in zip(node.__args__, node.__argnames__, strict=True) if name != "source"]
            line = f"{_name(node)}({','.join(map(spell, arguments))})"
            numbers[node] = len(lines)
            lines.append(line)
        return numbers[node]

    try:
        number(table.op())
    except _Opaque:
        return None
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
