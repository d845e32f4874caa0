"""Marts: the curated tables denormalised for dashboards, with the business rules of the parameters.

No rule looks at the clock, so that the same files give the same marts on any day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _


def build_overview(dim_batch: ir.Table, fact_bioreactor_batch_stats: ir.Table, rules: Mapping[str, Any]) -> ir.Table:
    """Statistics of each tag with its batch. Grain: batch x equipment x tag.

    Args:
        dim_batch: The batches.
        fact_bioreactor_batch_stats: The statistics per batch, equipment and tag.
        rules: `min_readings` (rows with fewer are left out), `max_null_fraction` (0 to 1; rows with a larger share
            of empty readings are left out), `excluded_tags` (tag names that are not published).
    """
    fact, dim = fact_bioreactor_batch_stats, dim_batch
    published = fact.filter(
        _.reading_count >= rules["min_readings"],
        _.null_count <= _.reading_count * rules["max_null_fraction"],
        ~_among(_.tag, rules["excluded_tags"]),
    )
    return published.inner_join(dim, published.batch_id == dim.batch_id).select(
        published.batch_id,
        published.equipment_id,
        published.tag,
        dim.site,
        dim.batch_start,
        dim.batch_end,
        dim.duration_hours,
        published.avg_value,
        published.min_value,
        published.max_value,
        published.stddev_value,
        published.first_ts,
        published.last_ts,
        published.reading_count,
        published.null_count,
        published.value_count,
        published.text_count,
        published.unit,
        main_equipment_id=dim.equipment_id,
        equipment_count=dim.equipment_count,
        batch_reading_count=dim.reading_count,
        tag_count=dim.tag_count,
        source_file_count=dim.source_file_count,
    )


def build_timeline(int_bioreactor_downsample_5m: ir.Table, dim_batch: ir.Table, rules: Mapping[str, Any]) -> ir.Table:
    """The 5-minute series of the chosen tags with the age of the batch. Grain: batch x equipment x tag x bucket.

    `hours_since_start` runs from the batch's first reading to the start of the bucket, so the first bucket may lie
    up to 5 minutes before zero.

    Args:
        int_bioreactor_downsample_5m: The downsampled series.
        dim_batch: The batches.
        rules: `tags` (names to publish; empty for all), `batches_since` (ISO date in UTC; batches that started
            earlier are left out; null for all).
    """
    series, dim = int_bioreactor_downsample_5m, dim_batch
    if rules["tags"]:
        series = series.filter(_among(_.tag, rules["tags"]))
    if rules["batches_since"] is not None:
        dim = dim.filter(_.batch_start >= ibis.literal(datetime.fromisoformat(str(rules["batches_since"]))))
    return series.inner_join(dim, series.batch_id == dim.batch_id).select(
        series.batch_id,
        series.equipment_id,
        series.tag,
        series.ts_5m,
        dim.site,
        dim.batch_start,
        series.avg_value,
        series.min_value,
        series.max_value,
        series.last_value,
        series.reading_count,
        hours_since_start=series.ts_5m.delta(dim.batch_start, unit="microsecond") / 3.6e9,
    )


def _among(tag: ir.Deferred, names: Sequence[str]) -> ir.Deferred:
    return tag.isin(sorted(names)) if names else ibis.literal(False)
