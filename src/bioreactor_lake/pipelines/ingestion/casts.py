"""How a column's type reads as text, as a number or as a time in UTC."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from bioreactor_lake.pipelines.ingestion.reading_rules import MICROSECONDS, ReadingRules, UnreadableFile

TIME = dt.Timestamp(scale=6)

# 0001-01-01 .. 9999-12-31 in microseconds since 1970: what DuckDB, Postgres and Python all can hold.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
# ISO 8601, date first: the wall clock, then perhaps a zone. What does not match as a whole is not guessed at.
_WALL = r"\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?"
_ZONE = r" ?(?:[Zz]|[Uu][Tt][Cc]|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)"
_NAIVE, _AWARE = f"^{_WALL}$", f"^{_WALL[:-1]}{_ZONE}$"
_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"


def _unreadable(column: ir.Value, meaning: str, accepted: str) -> UnreadableFile:
    return UnreadableFile(
        f"column {column.get_name()!r} ({meaning}) has the type {column.type()}, which does not read as {accepted}",
        next_step=f"write it as {accepted}",
    )


def as_text(column: ir.Value, meaning: str) -> ir.Value:
    """A column as text.

    Args:
        column: Text, a whole number, a UUID, or a float that stands for whole numbers.
        meaning: The canonical column that it means.

    Raises:
        UnreadableFile: It is of another type.
    """
    kind = column.type()
    if kind.is_floating():
        # pandas turns integer ids with a gap into floats: 42.0 means 42, NaN means missing.
        whole = (column.abs() < 2**53) & (column % 1 == 0)
        return ibis.cases(
            (column.isnan(), ibis.null("string")),
            (whole, column.try_cast("int64").cast("string")),
            else_=column.cast("string"),
        )
    if kind.is_string():
        return column
    if kind.is_integer() or kind.is_uuid() or kind.is_null():
        return column.cast("string")
    raise _unreadable(column, meaning, "text or a whole number")


def as_number(column: ir.Value) -> tuple[ir.Value, ir.Value]:
    """A column as a number, and the text of one that the file holds as text.

    Raises:
        UnreadableFile: It is neither a number, text nor a boolean.
    """
    kind = column.type()
    if kind.is_string():
        # DuckDB reads more than numbers: 1_000 and +-5, say. In a lab those are names and slips.
        text = plain_text(column)
        return text.re_search(_NUMBER).ifelse(text, None).try_cast("float64"), column
    if kind.is_numeric() or kind.is_boolean() or kind.is_null():
        return column.cast("float64"), ibis.null("string")
    raise _unreadable(column, "value", "a number, text or a boolean")


def as_time(column: ir.Value, source_file: ir.StringValue, rules: ReadingRules) -> tuple[ir.Value, ir.Value]:
    """The time in UTC, and the text for one that the file holds as text or that cannot be kept.

    Args:
        column: A timestamp, a date, ISO text, or a number since 1970.
        source_file: The path under the raw folder, by which a zone may be declared.
        rules: The declared zones and the unit of numbers.

    Raises:
        UnreadableFile: It is of another type.
    """
    kind = column.type()
    text: ir.Value = ibis.null("string")
    if kind.is_string():
        text, plain = column, plain_text(column).replace(",", ".")
        time = ibis.cases(
            (plain.re_search(_AWARE), _less_offset(plain)),
            (plain.re_search(_NAIVE), _from_zone(plain.try_cast(TIME), source_file, rules)),
        )
    elif kind.is_timestamp() and kind.timezone is not None:
        time = _utc(column)
        column = time
    elif kind.is_timestamp() or kind.is_date():
        time = _from_zone(column.cast(TIME), source_file, rules)
    elif kind.is_numeric() and not (kind.is_float32() or kind.is_float16()):
        factor = MICROSECONDS[rules.epoch_unit]
        number = column.cast("int64") if kind.is_integer() else column.cast("float64")
        inside = column.between(_FIRST_US // factor, _LAST_US // factor)
        time = _from_microseconds((inside.ifelse(number, None) * factor).cast("int64"))
    elif kind.is_null():
        time = ibis.null(TIME)
    else:
        raise _unreadable(column, "ts", "a timestamp, ISO text or a number of milliseconds (float32 is too coarse)")
    kept = time.between(ibis.timestamp("0001-01-01"), ibis.timestamp("9999-12-31 23:59:59.999999"))
    if not kind.is_string():
        text = kept.ifelse(text, column.cast("string"))
    return kept.ifelse(time, None).cast(TIME), text


def read_iso(text: ir.StringValue, zone: str) -> tuple[ir.Value, ir.BooleanValue]:
    """The UTC time of ISO text, and whether it is one without a zone.

    Args:
        text: The text, without blanks around it.
        zone: Of times that carry none; empty where these are not read.
    """
    plain = text.replace(",", ".")
    is_naive = plain.re_search(_NAIVE)
    aware = (plain.re_search(_AWARE), _less_offset(plain))
    return ibis.cases(aware, *([(is_naive, as_utc(plain.try_cast(TIME), zone))] if zone else [])), is_naive


def as_utc(time: ir.Value, zone: str) -> ir.Value:
    """The UTC time of one that is aware, or of a naive one in a zone."""
    if time.type().timezone is not None:
        return _utc(time)
    return time if zone == "UTC" else _utc(_at_zone(zone, time))


def from_microseconds(microseconds: ir.Value) -> ir.Value:
    """The time of microseconds since 1970; null for what DuckDB, Postgres and Python cannot all hold."""
    whole = microseconds.between(_FIRST_US, _LAST_US).ifelse(microseconds, None).round().try_cast("int64")
    return _from_microseconds(whole)


def to_microseconds(naive: ir.Value) -> ir.Value:
    """Microseconds since 1970 of a naive UTC time."""
    return _microseconds_of(naive)


def plain_text(text: ir.StringValue) -> ir.StringValue:
    """Text without the blanks and NULs that fixed-width writers pad with."""
    return text.re_replace(r"\x00", "").strip()


def _less_offset(text: ir.StringValue) -> ir.Value:
    """The UTC time of ISO text with a zone, which a cast to a timestamp would pass over in silence."""
    wall = text.re_extract(f"^({_WALL})", 1).try_cast(TIME)
    sign = text.re_search(r"-\d{2}(:?\d{2})?$").ifelse(-1, 1)
    hours = text.re_extract(r"[+-](\d{2})(:?\d{2})?$", 1).try_cast("int64").fill_null(0)
    minutes = text.re_extract(r"[+-]\d{2}:?(\d{2})$", 1).try_cast("int64").fill_null(0)
    return wall - (sign * (hours * 60 + minutes)).as_interval("m")


def _from_zone(naive: ir.Value, source_file: ir.StringValue, rules: ReadingRules) -> ir.Value:
    def in_utc(zone: str) -> ir.Value:
        return naive if zone == "UTC" else _utc(_at_zone(zone, naive))

    declared = sorted(rules.time_zones.items(), key=lambda item: (-len(item[0]), item[0]))
    if not declared:
        return in_utc(rules.time_zone)
    return ibis.cases(
        *((source_file.startswith(prefix), in_utc(zone)) for prefix, zone in declared), else_=in_utc(rules.time_zone)
    )


# A plain cast from an aware to a naive timestamp depends on the session's time zone, and a view is read in whatever
# session comes. Going through microseconds does not, and costs a sixth of `AT TIME ZONE`.
def _utc(aware: ir.Value) -> ir.Value:
    return _from_microseconds(_to_microseconds(aware))


@ibis.udf.scalar.builtin(name="epoch_us", signature=((dt.Timestamp(timezone="UTC"),), dt.int64))
def _to_microseconds(aware):  # type: ignore[no-untyped-def]
    """Microseconds since 1970 of an aware timestamp."""


@ibis.udf.scalar.builtin(name="epoch_us", signature=((TIME,), dt.int64))
def _microseconds_of(naive):  # type: ignore[no-untyped-def]
    """Microseconds since 1970 of a naive timestamp."""


@ibis.udf.scalar.builtin(name="make_timestamp", signature=((dt.int64,), TIME))
def _from_microseconds(microseconds):  # type: ignore[no-untyped-def]
    """The naive UTC time of microseconds since 1970."""


@ibis.udf.scalar.builtin(name="timezone", signature=((dt.string, TIME), dt.Timestamp(timezone="UTC")))
def _at_zone(zone, naive):  # type: ignore[no-untyped-def]
    """The moment at which a zone's clocks show a naive time."""


def look_up(key: ir.Value, values: Mapping[str, str]) -> ir.Value:
    """What stands beside a text in a list; null for a text that is not in it."""
    if not values:
        return ibis.null("string")
    return ibis.cases(*((key == name, value) for name, value in sorted(values.items())))
