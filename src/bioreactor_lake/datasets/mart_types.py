"""Types of the warehouse as Postgres has them."""

from __future__ import annotations

import ibis.expr.datatypes as dt

from bioreactor_lake.errors import LakeError

_TYPES = {dt.String: "text", dt.Int64: "bigint", dt.Float64: "double precision", dt.Boolean: "boolean"}


def postgres_type(name: str, kind: dt.DataType) -> str:
    """The Postgres type of a column.

    Times of the warehouse are UTC without a zone; in binary form they are those of a timestamptz.

    Raises:
        LakeError: No mart holds such a type.
    """
    if isinstance(kind, dt.Timestamp):
        return "timestamp with time zone"
    try:
        return _TYPES[type(kind)]
    except KeyError:
        raise LakeError(
            f"Column {name} has the type {kind}, which no mart holds.",
            kept="The old mart is in place.",
            next_step="Cast it to text, a whole number, a floating number, a boolean or a timestamp.",
        ) from None
