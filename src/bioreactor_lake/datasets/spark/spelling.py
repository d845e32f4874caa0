"""Expressions as Spark's SQL: the same operations, spelled for another engine.

Nodes use a few functions of DuckDB by name. Each is said here in Spark's words, so that no node knows of Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends.sql.datatypes import PySparkType

from bioreactor_lake.datasets.spark.session import require_spark
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.logic import name_leaf

_NAIVE, _AWARE = dt.Timestamp(scale=6), dt.Timestamp(timezone="UTC", scale=6)


def view_of(name: str) -> str:
    """The temporary view of Spark that stands for a relation of the lake.

    >>> view_of("staging.stg_bioreactor")
    'staging__stg_bioreactor'
    """
    return name.replace(".", "__")


def spell_for_spark(data: ir.Table) -> str:
    """Spark's SQL of an expression whose columns have the very types that Ibis says they have; see `spell_type`.

    Raises:
        LakeError: It uses a function that is said in DuckDB's words only, or Spark is not installed.
    """
    require_spark()
    query = ibis.to_sql(data.op().replace(_settle).to_expr(), dialect="pyspark")
    columns = [f"CAST({quote(name)} AS {spell_type(kind)}) AS {quote(name)}" for name, kind in data.schema().items()]
    return f"SELECT {', '.join(columns)} FROM ({query}) AS whole"


def spell_type(kind: dt.DataType) -> str:
    """Spark's spelling of a type; times of the lake are UTC without a zone.

    >>> import ibis.expr.datatypes as dt
    >>> spell_type(dt.Timestamp(scale=6)), spell_type(dt.float64)
    ('TIMESTAMP_NTZ', 'DOUBLE')
    """
    if isinstance(kind, dt.Timestamp):
        return "TIMESTAMP_NTZ" if kind.timezone is None else "TIMESTAMP"
    spelled: str = PySparkType.from_ibis(kind).sql("spark")
    return spelled


def quote(name: str) -> str:
    """A name in Spark's SQL."""
    return f"`{name.replace('`', '``')}`"


def _settle(node: Any, changed: dict[str, Any] | None) -> Any:
    node = node.__recreate__(changed) if changed else node
    if isinstance(node, ops.DatabaseTable | ops.UnboundTable):
        return ops.UnboundTable(name=view_of(name_leaf(node)), schema=node.schema, namespace=ops.Namespace())
    if isinstance(node, ops.ScalarUDF):
        return _in_words_of_spark(node)
    return node


def _in_words_of_spark(node: Any) -> Any:
    name, arguments = node.__func_name__, [argument.to_expr() for argument in node.args]
    if name not in _WORDS:
        raise LakeError(
            f"An expression calls the function {name} of DuckDB, which Spark does not have.",
            kept="Nothing was written.",
            next_step="Use an operation of Ibis that both have, or say it in Spark's words in datasets/spark/spelling.py.",
        )
    return _WORDS[name](*arguments).op()


@ibis.udf.scalar.builtin(name="unix_micros", signature=((_AWARE,), dt.int64))
def _unix_micros(aware):  # type: ignore[no-untyped-def]
    """Microseconds since 1970 of a moment."""


@ibis.udf.scalar.builtin(name="timestamp_micros", signature=((dt.int64,), _AWARE))
def _timestamp_micros(microseconds):  # type: ignore[no-untyped-def]
    """The moment of microseconds since 1970."""


@ibis.udf.scalar.builtin(name="to_utc_timestamp", signature=((_NAIVE, dt.string), _AWARE))
def _to_utc_timestamp(naive, zone):  # type: ignore[no-untyped-def]
    """The moment at which a zone's clocks show a time."""


def _as_moment(time: ir.Value) -> ir.Value:
    return time if time.type().timezone is not None else time.cast(_AWARE)


# The session of Spark is in UTC, where a moment and its time without a zone are the same.
_WORDS: Mapping[str, Callable[..., Any]] = {
    "epoch_us": lambda time: _unix_micros(_as_moment(time)),
    "make_timestamp": lambda microseconds: _timestamp_micros(microseconds).cast(_NAIVE),
    "timezone": lambda zone, naive: _to_utc_timestamp(naive, zone),
}
