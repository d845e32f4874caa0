"""Expressions as Spark's SQL: the same operations, spelled for another engine.

Nodes use a few functions of DuckDB by name. Each is said here in Spark's words, so that no node knows of Spark.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends.sql.datatypes import PySparkType

from bioreactor_lake.datasets.spark.session import require_spark
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.logic import name_leaf

_LARGEST = ibis.literal("1.7976931348623157e308").cast("float64")
_BLANKS = r"[ \t\n\x0B\f\r]+"
_PADDING = " \t\n\v\f\r"
_PLACES = ("D", "h", "m")
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


def spell_text(text: str) -> str:
    r"""A text in Spark's SQL, where a backslash says that the next character is meant as it is.

    >>> spell_text(r"it's \d")
    "'it\\'s \\\\d'"
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _settle(node: Any, changed: dict[str, Any] | None) -> Any:
    node = node.__recreate__(changed) if changed else node
    if isinstance(node, ops.DatabaseTable | ops.UnboundTable):
        return ops.UnboundTable(name=view_of(name_leaf(node)), schema=node.schema, namespace=ops.Namespace())
    if isinstance(node, ops.ScalarUDF):
        return _in_words_of_spark(node)
    for kind, settle in _SETTLED.items():
        if isinstance(node, kind):
            return settle(node)
    return node


def spell_pattern(pattern: str) -> str:
    r"""A regular expression of RE2 as Java reads it.

    To Java `\v` is any line break, and `$` also comes before a last one.

    >>> spell_pattern(r"^[ \v]+$")
    '^[ \\x0B]+\\z'
    """
    return re.sub(
        r"\\.|\$|\[(?:\\.|[^\]])*\]",
        lambda found: r"\z" if found.group() == "$" else found.group().replace(r"\v", r"\x0B"),
        pattern,
    )


def _settle_pattern(node: Any) -> Any:
    if not isinstance(node.pattern, ops.Literal):
        return node
    if isinstance(node, ops.RegexReplace) and _is_padding(node.pattern.value, node.replacement):
        # Java takes thirty times as long for it as to look for characters, and staging does it to every text.
        # Spark's texts have no escapes for some of them.
        blanks = reduce(operator.add, (_char(ord(blank)) for blank in _PADDING))
        return _btrim(_replace(node.arg.to_expr(), _char(0), ""), blanks).op()
    return node.copy(pattern=ops.Literal(spell_pattern(node.pattern.value), dtype=dt.string))


def _is_padding(pattern: str, replacement: Any) -> bool:
    """Whether a pattern takes NULs away everywhere, and blanks at the ends."""
    found = re.fullmatch(r"\^\[(?P<of>[^\]]*)\]\+\|\[(?P=of)\]\+\$\|\\x00", pattern)
    if found is None or not isinstance(replacement, ops.Literal) or replacement.value != "":
        return False
    return set(found["of"].replace(r"\x00", "\0").encode().decode("unicode_escape")) == {"\0", *_PADDING}


def _settle_literal(node: Any) -> Any:
    if not node.dtype.is_floating() or node.value is None:
        return node
    # To Spark 3.5 is a decimal, and a quotient of decimals has few digits.
    return ops.Cast(ops.Literal(repr(float(node.value)), dtype=dt.string), dt.float64)


def _settle_infinity(node: Any) -> Any:
    # Ibis takes it that Spark has none, and says false.
    value = node.arg.to_expr()
    return ((value.abs() > _LARGEST) & ~value.isnan()).op()


def _settle_strip(node: Any) -> Any:
    # Spark takes off spaces only.
    return node.arg.to_expr().re_replace(f"^{_BLANKS}|{_BLANKS}\\z", "").op()


def _settle_delta(node: Any) -> Any:
    # Servers that are no Spark, as Sail, count no microseconds between two times.
    if getattr(node.part, "value", None) not in ("us", "microsecond"):
        return node
    return (_unix_micros(_as_moment(node.left.to_expr())) - _unix_micros(_as_moment(node.right.to_expr()))).op()


def _settle_interval(node: Any) -> Any:
    # Ibis has Spark read a text for each row, such as "4 minutes", which takes Sail fifty microseconds.
    if (unit := node.unit.value) not in _PLACES:
        return node
    zero, count = ibis.literal(0, dt.int32), node.arg.to_expr().cast(dt.int32)
    return _make_dt_interval(*(count if unit == place else zero for place in _PLACES)).op()


def _settle_cast(node: Any) -> Any:
    kind = node.arg.dtype
    if not (kind.is_floating() and node.to.is_string()):
        return node
    # Large and small numbers have another spelling in each engine, and a batch would have two names.
    text = ops.Cast(node.arg, node.to).to_expr()
    refusal = _raise_error(
        ibis.literal("a float is no name of a batch, equipment or tag that engines agree on: ") + text
    )
    return text.contains("E").ifelse(refusal, text).op()


def _in_words_of_spark(node: Any) -> Any:
    name, arguments = node.__func_name__, [argument.to_expr() for argument in node.args]
    if name not in _WORDS:
        raise LakeError(
            f"An expression calls the function {name} of DuckDB, which Spark does not have.",
            kept="Nothing was written.",
            next_step="Use an operation of Ibis that both have, or say it in Spark's words in "
            "datasets/spark/spelling.py.",
        )
    return _WORDS[name](*arguments).op()


@ibis.udf.scalar.builtin(name="btrim", signature=((dt.string, dt.string), dt.string))
def _btrim(text, characters):  # type: ignore[no-untyped-def]
    """A text without some characters at its ends."""


@ibis.udf.scalar.builtin(name="replace", signature=((dt.string, dt.string, dt.string), dt.string))
def _replace(text, found, replacement):  # type: ignore[no-untyped-def]
    """A text with another in place of all that is found."""


@ibis.udf.scalar.builtin(name="char", signature=((dt.int64,), dt.string))
def _char(code):  # type: ignore[no-untyped-def]
    """The character of a code."""


@ibis.udf.scalar.builtin(name="raise_error", signature=((dt.string,), dt.string))
def _raise_error(text):  # type: ignore[no-untyped-def]
    """Fail with a text."""


@ibis.udf.scalar.builtin(name="unix_micros", signature=((_AWARE,), dt.int64))
def _unix_micros(aware):  # type: ignore[no-untyped-def]
    """Microseconds since 1970 of a moment."""


@ibis.udf.scalar.builtin(name="timestamp_micros", signature=((dt.int64,), _AWARE))
def _timestamp_micros(microseconds):  # type: ignore[no-untyped-def]
    """The moment of microseconds since 1970."""


@ibis.udf.scalar.builtin(name="to_utc_timestamp", signature=((_NAIVE, dt.string), _AWARE))
def _to_utc_timestamp(naive, zone):  # type: ignore[no-untyped-def]
    """The moment at which a zone's clocks show a time."""


@ibis.udf.scalar.builtin(name="from_utc_timestamp", signature=((_AWARE, dt.string), _AWARE))
def _from_utc_timestamp(moment, zone):  # type: ignore[no-untyped-def]
    """What a zone's clocks show at a moment."""


@ibis.udf.scalar.builtin(name="make_dt_interval", signature=((dt.int32,) * 3, dt.Interval("s")))
def _make_dt_interval(days, hours, minutes):  # type: ignore[no-untyped-def]
    """A duration."""


def _as_moment(time: ir.Value) -> ir.Value:
    return time if time.type().timezone is not None else time.cast(_AWARE)


_SETTLED: Mapping[Any, Callable[[Any], Any]] = {
    ops.Literal: _settle_literal,
    ops.IsInf: _settle_infinity,
    ops.Strip: _settle_strip,
    ops.Cast: _settle_cast,
    ops.TimestampDelta: _settle_delta,
    ops.IntervalFromInteger: _settle_interval,
    (ops.RegexSearch, ops.RegexReplace, ops.RegexExtract): _settle_pattern,
}


def _at_zone(zone: ir.Value, naive: ir.Value) -> ir.Value:
    """The moment at which a zone's clocks show a time; of the hour that comes twice the second one, as in DuckDB."""
    day = ibis.interval(days=1)
    first = _to_utc_timestamp(naive, zone)
    second = _to_utc_timestamp(naive + day, zone) - day
    return (_from_utc_timestamp(second, zone) == _as_moment(naive)).ifelse(second, first)


# The session of Spark is in UTC, where a moment and its time without a zone are the same.
_WORDS: Mapping[str, Callable[..., Any]] = {
    "epoch_us": lambda time: _unix_micros(_as_moment(time)),
    "make_timestamp": lambda microseconds: _timestamp_micros(microseconds).cast(_NAIVE),
    "timezone": lambda zone, naive: _at_zone(zone, naive),
}
