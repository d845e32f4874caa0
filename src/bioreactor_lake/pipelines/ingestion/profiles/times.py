"""Times of exports, absolute or counted from somewhere, as UTC."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from bioreactor_lake.pipelines.ingestion.casts import (
    TIME,
    as_utc,
    from_microseconds,
    read_iso,
    to_microseconds,
)
from bioreactor_lake.pipelines.ingestion.profiles.profile import UNITS

_EPOCHS = {"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1.0}
_CLOCK = r"^([+-]?)(?:(\d{1,6})[d.] ?)?(\d{1,7}):([0-5]\d)(?::([0-5]\d(?:[.,]\d+)?))?$"
_PLAIN_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"


def read_time(text: ir.StringValue, formats: Sequence[str], zone: str) -> tuple[ir.Value, ir.StringValue]:
    """The UTC time of a text by the first format that fits, and why there is none.

    Args:
        text: The text, or null.
        formats: As of a profile.
        zone: Of times that carry none; empty where these are refused.
    """
    found, naive = [], ibis.literal(False)
    for one in formats:
        if one == "iso":
            time, is_naive = read_iso(text, zone)
            naive = naive | is_naive if not zone else naive
        elif one in _EPOCHS:
            time = from_microseconds(read_number(text) * _EPOCHS[one])
        else:
            parse = _parse_aware if "%z" in one else _parse_naive
            time = as_utc(parse(text, one), zone)
        found.append(time.cast(TIME))
    time = ibis.coalesce(*found) if found else ibis.null(TIME)
    time = time.between(ibis.timestamp("0001-01-01"), ibis.timestamp("9999-12-31 23:59:59.999999")).ifelse(time, None)
    reason = ibis.cases(
        (text.isnull(), "it has no time"),
        (time.notnull(), ibis.null("string")),
        (naive, "its time carries no zone, and the profile declares none (time.zone)"),
        else_=f"its time does not read by the profile's formats ({', '.join(formats)})",
    )
    return time.cast(TIME), reason


def read_elapsed(text: ir.StringValue, unit: str) -> ir.Value:
    """Microseconds of a relative time, or null.

    Args:
        text: A number with a decimal point, or for the unit `clock` hours, minutes and seconds.
        unit: As of a profile.
    """
    if unit != "clock":
        return read_number(text) * UNITS[unit]

    def part(number: int) -> ir.Value:
        return text.re_extract(_CLOCK, number).replace(",", ".").nullif("").try_cast("float64").fill_null(0.0)

    sign = (text.re_extract(_CLOCK, 1) == "-").ifelse(-1.0, 1.0)
    seconds = sign * (((part(2) * 24 + part(3)) * 60 + part(4)) * 60 + part(5))
    return text.re_search(_CLOCK).ifelse(seconds * 1e6, None)


def add_elapsed(origin: ir.Value, microseconds: ir.Value) -> ir.Value:
    """The time so long after another, to the microsecond; null beyond what times can be."""
    return from_microseconds(to_microseconds(origin).cast("float64") + microseconds)


def read_number(text: ir.StringValue) -> ir.Value:
    """The number that a text is, or null."""
    number = text.re_search(_PLAIN_NUMBER).ifelse(text, None).try_cast("float64")
    return (number.isnan() | number.isinf()).ifelse(None, number)


@ibis.udf.scalar.builtin(name="try_strptime", signature=((dt.string, dt.string), TIME))
def _parse_naive(text, form):  # type: ignore[no-untyped-def]
    """A time by a format without a zone."""


@ibis.udf.scalar.builtin(name="try_strptime", signature=((dt.string, dt.string), dt.Timestamp(timezone="UTC")))
def _parse_aware(text, form):  # type: ignore[no-untyped-def]
    """A time by a format with a zone."""
