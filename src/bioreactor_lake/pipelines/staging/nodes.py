"""Staging: raw rows become readings, or rejects with a reason."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis import _

READING = (
    "batch_id", "equipment_id", "site", "tag", "ts", "value", "value_text", "unit", "quality", "source_file",
)  # fmt: skip


# Three keys of four bytes a character must fit into one entry of a Postgres index, 2,704 bytes.
LONGEST_KEY = 200


def interpret(rows: ir.Table) -> ir.Table:
    """Apply staging's rules to raw rows. Grain: one row per raw row.

    Text is trimmed, NUL padding removed and empty text made null. `value` holds finite numbers only; everything
    else that a cell says (states, NaN, infinities) is in `value_text`. `reason` says why a row is no reading and is
    null where it is one.
    """
    clean = rows.mutate(
        **{name: clean_text(rows[name]) for name in ("batch_id", "equipment_id", "site", "tag", "unit", "quality")},
        value=_is_finite(rows.value).ifelse(rows.value, None),
        value_text=_is_finite(rows.value).ifelse(None, ibis.coalesce(clean_text(rows.value_text), _spell(rows.value))),
    )
    return clean.mutate(
        reason=ibis.cases(
            (_.batch_id.isnull(), "batch_id is missing"),
            (_.equipment_id.isnull(), "equipment_id is missing"),
            (_.tag.isnull(), "tag is missing"),
            (_.batch_id.length() > LONGEST_KEY, f"batch_id is longer than {LONGEST_KEY} characters"),
            (_.equipment_id.length() > LONGEST_KEY, f"equipment_id is longer than {LONGEST_KEY} characters"),
            (_.tag.length() > LONGEST_KEY, f"tag is longer than {LONGEST_KEY} characters"),
            (_.ts.isnull() & _.ts_text.isnull(), "ts is missing"),
            (_.ts.isnull(), "ts does not read as a time between the years 1 and 9999"),
        )
    )


def stage_readings(raw_bioreactor: ir.Table) -> ir.Table:
    """The readings of the lake. Grain: one row per reading (one raw row that was not rejected)."""
    # The rows without a `reason`, said of the raw columns: DuckDB keeps their dictionaries, and everything above
    # costs half. A property-based test holds the two together.
    keys = [_strip(raw_bioreactor[name]) for name in ("batch_id", "equipment_id", "tag")]
    readings = raw_bioreactor.filter(*(key.length().between(1, LONGEST_KEY) for key in keys), _.ts.notnull())
    return interpret(readings).select(*READING)


def set_aside_rejects(raw_bioreactor: ir.Table, raw_files: ir.Table) -> ir.Table:
    """The rows that are no readings, as they came, with file and reason. Grain: one row per rejected raw row.

    Only files in which the inspection counted rejects are looked into, so the view costs nothing where there are none.
    """
    suspects = raw_files.filter(_.rows_rejected > 0, _.status == "accepted")
    return (
        interpret(raw_bioreactor.semi_join(suspects, raw_bioreactor.source_file == suspects.path))
        .filter(_.reason.notnull())
        .select(*READING[:5], "ts_text", *READING[5:], "reason")
    )


def clean_text(text: ir.StringValue) -> ir.StringValue:
    """Text without NULs and blanks around it; null where nothing is left."""
    return _strip(text).nullif("")


def _strip(text: ir.StringValue) -> ir.StringValue:
    """Text without NULs, and without blanks at its ends."""
    return text.re_replace(r"^[\x00 \t\n\v\f\r]+|[\x00 \t\n\v\f\r]+$|\x00", "")


def _is_finite(value: ir.FloatingValue) -> ir.BooleanValue:
    return value.notnull() & ~value.isnan() & ~value.isinf()


def _spell(value: ir.FloatingValue) -> ir.StringValue:
    return ibis.cases((value.isnan(), "NaN"), (value > 0, "Infinity"), (value < 0, "-Infinity"))
