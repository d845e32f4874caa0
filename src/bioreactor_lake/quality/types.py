"""Names of column types, as Great Expectations, SQL and Ibis spell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

_FAMILIES: Mapping[tuple[str, ...], Callable[[dt.DataType], bool]] = {
    ("TEXT", "VARCHAR", "STRING", "CHAR", "NVARCHAR", "STR", "UNICODE"): lambda kind: kind.is_string(),
    ("BIGINT", "INT64", "INT8", "BIGINTEGER"): lambda kind: kind.is_int64(),
    ("INTEGER", "INT", "INT32", "INT4"): lambda kind: kind.is_int32(),
    ("SMALLINT", "INT16", "INT2", "SMALLINTEGER"): lambda kind: kind.is_int16(),
    ("DOUBLE_PRECISION", "DOUBLE PRECISION", "DOUBLE", "FLOAT64", "FLOAT8"): lambda kind: kind.is_float64(),
    ("REAL", "FLOAT32", "FLOAT4"): lambda kind: kind.is_float32(),
    ("FLOAT",): lambda kind: kind.is_floating(),
    ("NUMERIC", "DECIMAL"): lambda kind: kind.is_decimal(),
    ("BOOLEAN", "BOOL"): lambda kind: kind.is_boolean(),
    ("TIMESTAMP", "DATETIME"): lambda kind: kind.is_timestamp(),
    ("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"): lambda kind: kind.is_timestamp() and bool(kind.timezone),
    ("TIMESTAMP WITHOUT TIME ZONE",): lambda kind: kind.is_timestamp() and not kind.timezone,
    ("DATE",): lambda kind: kind.is_date(),
    ("TIME",): lambda kind: kind.is_time(),
    ("INTERVAL",): lambda kind: kind.is_interval(),
    ("UUID",): lambda kind: kind.is_uuid(),
    ("JSON", "JSONB"): lambda kind: kind.is_json(),
    ("BYTEA", "BLOB", "BINARY"): lambda kind: kind.is_binary(),
    ("ARRAY",): lambda kind: kind.is_array(),
}
_TESTS = {name: test for names, test in _FAMILIES.items() for name in names}
TYPE_NAMES = tuple(_TESTS)


def is_of_type(kind: dt.DataType, name: str) -> bool:
    """Whether a column's type is the one that a name means."""
    return _TESTS[name.upper()](kind)


def names_of_type(name: str) -> tuple[str, ...]:
    """All names that mean the same type.

    >>> names_of_type("int4")
    ('INTEGER', 'INT', 'INT32', 'INT4')
    """
    return next(names for names in _FAMILIES if name.upper() in names)
