"""From the rows of a file to readings, by its profile: pure expressions."""

from __future__ import annotations

import re

import ibis
import ibis.expr.types as ir

from bioreactor_lake.pipelines.ingestion.casts import look_up
from bioreactor_lake.pipelines.ingestion.profiles.columns import KEYS, Head, find_cell, name_tags, number_cells
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile


def list_readings(lines: ir.Table, profile: Profile, head: Head) -> ir.Table:
    """The readings of lines without a reason. Grain: one row per reading.

    Args:
        lines: As of `cells.read_lines`.
        profile: The profile.
        head: What the file's shape is.
    """
    good = lines.filter(lines.reason.isnull())
    newest = good[find_cell(profile.newest, number_cells(head.columns))] if profile.newest else ibis.null("string")
    good = good.mutate(newest=newest)
    return _long_readings(good, profile, head) if profile.is_long else _wide_readings(good, profile, head)


def _wide_readings(good: ir.Table, profile: Profile, head: Head) -> ir.Table:
    tags = name_tags(profile, head)
    columns = number_cells(head.columns)
    if filled := [columns[one] for one in tags if profile.change_only == ("*",) or one in profile.change_only]:
        so_far = ibis.window(group_by=["batch_id", "equipment_id"], order_by="line", preceding=None, following=0)
        # A value and the blanks after it have as many values up to them.
        good = good.mutate(**{f"n_{cell}": good[cell].count().over(so_far) for cell in filled})
        kept = {cell: ibis.window(group_by=["batch_id", "equipment_id", f"n_{cell}"]) for cell in filled}
        good = good.mutate(**{cell: good[cell].max().over(kept[cell]) for cell in filled})
    cells = [
        ibis.struct(
            {
                "tag": ibis.literal(tag),
                "unit": ibis.literal(unit, type="string"),
                "is_state": ibis.literal(column in profile.states or tag in profile.states),
                "text": good[columns[column]],
            }
        )
        for column, (tag, unit) in tags.items()
    ]
    long = good.select("line", "newest", *KEYS, "ts", cell=ibis.array(cells).unnest()).unpack("cell")
    read = _with_values(long.filter(long.text.notnull()), profile).mutate(quality=ibis.null("string"))
    return _in_order(read.filter(read.value.notnull() | read.value_text.notnull()))


def _long_readings(good: ir.Table, profile: Profile, head: Head) -> ir.Table:
    columns = number_cells(head.columns)

    def column(name: str) -> ir.Value:
        return good[find_cell(name, columns)] if name else ibis.null("string")

    unit = look_up(good.tag, profile.units)
    rows = good.select(
        "line", "newest", *KEYS, "ts", "tag",
        unit=ibis.coalesce(unit, column(profile.unit)).cast("string"),
        quality=column(profile.quality),
        is_state=good.tag.isin(sorted(profile.states)) if profile.states else ibis.literal(False),
        text=column(profile.value),
    )  # fmt: skip
    return _in_order(_with_values(rows, profile))


def _in_order(readings: ir.Table) -> ir.Table:
    return readings.select(*KEYS, "ts", "tag", "value", "value_text", "unit", "quality", "line", "newest")


def _with_values(rows: ir.Table, profile: Profile) -> ir.Table:
    decimal, thousands = re.escape(profile.decimal), re.escape(profile.thousands)
    whole = rf"(?:\d+|\d{{1,3}}(?:{thousands}\d{{3}})+)" if profile.thousands else r"\d+"
    pattern = rf"^[+-]?(?:{whole}(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?$"
    plain: ir.Value = rows.text
    if profile.thousands:
        plain = plain.replace(profile.thousands, "")
    if profile.decimal != ".":
        plain = plain.replace(profile.decimal, ".")
    number = (rows.text.re_search(pattern) & ~rows.is_state).ifelse(plain, None).try_cast("float64")
    number = (number.isnan() | number.isinf()).ifelse(None, number)
    rows = rows.mutate(value=number)
    rows = rows.mutate(value_text=rows.value.isnull().ifelse(rows.text, None))
    if profile.sentinels:
        rows = rows.mutate(value=rows.value.isin(list(profile.sentinels)).ifelse(None, rows.value))
    return rows
