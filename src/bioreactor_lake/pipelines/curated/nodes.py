"""Curated: readings become series, batches and statistics.

Statistics are over readings, never over bucket averages. Averages are plain means of the readings, not time-weighted.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis import _

# The square of anything larger overflows a double, and DuckDB's stddev then aborts the whole query.
LARGEST_AVERAGED = 1e150
# DuckDB also multiplies that square by the counts of two threads' shares. A power of two scales without rounding.
_SCALE = 2.0**40


def downsample_readings(stg_bioreactor: ir.Table) -> ir.Table:
    """The series in 5-minute buckets. Grain: batch x equipment x tag x bucket that holds a reading.

    `ts_5m` is the bucket's start. `last_value` is the value at the latest time, the largest of several at that time.
    """
    bucket = _.ts.truncate("m") - (_.ts.minute() % 5).cast("int64").as_interval("m")
    return (
        stg_bioreactor.mutate(ts_5m=bucket)
        .group_by("batch_id", "equipment_id", "tag", "ts_5m")
        .agg(
            avg_value=_mean(_.value),
            min_value=_.value.min(),
            max_value=_.value.max(),
            last_value=_.value.argmax(ibis.struct({"ts": _.ts, "value": _.value}), where=_.value.notnull()),
            reading_count=_.count(),
        )
    )


def describe_batches(stg_bioreactor: ir.Table) -> ir.Table:
    """The dimension of batches. Grain: one row per batch.

    The equipment and the site of a batch are those with most readings, among equals the smallest name.
    `duration_hours` is the time from the first reading to the last.
    """
    parts = stg_bioreactor.group_by("batch_id", "equipment_id", "site", "tag", "source_file").agg(
        readings=_.count(), ts_min=_.ts.min(), ts_max=_.ts.max()
    )
    batches = parts.group_by("batch_id").agg(
        equipment_count=_.equipment_id.nunique(),
        batch_start=_.ts_min.min(),
        batch_end=_.ts_max.max(),
        reading_count=_.readings.sum(),
        tag_count=_.tag.nunique(),
        source_file_count=_.source_file.nunique(),
    )
    equipment = _most_frequent(parts, "equipment_id")
    site = _most_frequent(parts.filter(_.site.notnull()), "site")
    return (
        batches.inner_join(equipment, "batch_id")
        .left_join(site, "batch_id")
        .select(
            batches.batch_id,
            site.site,
            equipment.equipment_id,
            batches.equipment_count,
            batches.batch_start,
            batches.batch_end,
            duration_hours=batches.batch_end.delta(batches.batch_start, unit="microsecond") / 3.6e9,
            reading_count=batches.reading_count.cast("int64"),
            tag_count=batches.tag_count,
            source_file_count=batches.source_file_count,
        )
    )


def summarise_tags(stg_bioreactor: ir.Table) -> ir.Table:
    """Statistics of a tag over a batch. Grain: batch x equipment x tag.

    `stddev_value` is the sample standard deviation, null for fewer than two values. `null_count` counts readings
    with neither value nor text; `value_count` those with a value, of which the statistics are, `text_count` those with
    text in its place. `unit` is the readings' unit of measure, null where none is given or where `unit_count` says that
    several are.
    """
    return stg_bioreactor.group_by("batch_id", "equipment_id", "tag").agg(
        avg_value=_mean(_.value),
        min_value=_.value.min(),
        max_value=_.value.max(),
        stddev_value=_if_averaged(_.value, (_averaged(_.value) / _SCALE).std(how="sample") * _SCALE),
        first_ts=_.ts.min(),
        last_ts=_.ts.max(),
        reading_count=_.count(),
        null_count=(_.value.isnull() & _.value_text.isnull()).sum().cast("int64"),
        value_count=_.value.count(),
        text_count=_.value_text.count(),
        unit=(_.unit.nunique() == 1).ifelse(_.unit.min(), None),
        unit_count=_.unit.nunique(),
    )


def _most_frequent(parts: ir.Table, column: str) -> ir.Table:
    """Per batch the value of a column with most readings, then the smallest. Grain: one row per batch."""
    counted = parts.group_by("batch_id", column).agg(readings=_.readings.sum())
    rank = ibis.row_number().over(group_by="batch_id", order_by=[ibis.desc("readings"), column])
    return counted.mutate(rank=rank).filter(_.rank == 0).select("batch_id", column)


def _averaged(value: ir.Deferred) -> ir.Deferred:
    return value.between(-LARGEST_AVERAGED, LARGEST_AVERAGED).ifelse(value, None)


def _if_averaged(value: ir.Deferred, statistic: ir.Deferred) -> ir.Deferred:
    beyond = (value.max() > LARGEST_AVERAGED) | (value.min() < -LARGEST_AVERAGED)
    return beyond.ifelse(None, statistic)


def _mean(value: ir.Deferred) -> ir.Deferred:
    return _if_averaged(value, _averaged(value).mean())
