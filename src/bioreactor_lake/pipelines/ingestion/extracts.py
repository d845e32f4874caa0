"""Extracts of LIMS and ELN: the texts of records become batch sheets and sample results, or stay with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import ibis
import ibis.expr.types as ir

from bioreactor_lake.pipelines.ingestion.casts import TIME, as_number, read_iso
from bioreactor_lake.pipelines.staging.nodes import LONGEST_KEY, clean_text


class Extracts(Protocol):
    """Extracts of sources that have landed."""

    def read_extracts(self, kind: str, sources: Mapping[str, Any], interpret: Any) -> ir.Table:
        """Apply rules to the records of sources that have news. Grain: one row per record."""


def read_batch_sheets(
    landing_zone: Extracts, sources: Mapping[str, Any], landed_files: ir.Table | None = None
) -> ir.Table:
    """What sources say of batches. Grain: one row per source and record.

    Args:
        landing_zone: The extracts.
        sources: The parameter group `sources`.
        landed_files: What became of landed files; it says that this comes after.
    """
    return landing_zone.read_extracts("batch_sheets", sources, interpret_batch_sheets)


def read_sample_results(
    landing_zone: Extracts, sources: Mapping[str, Any], landed_files: ir.Table | None = None
) -> ir.Table:
    """What sources say of samples. Grain: one row per source and record.

    Args:
        landing_zone: The extracts.
        sources: The parameter group `sources`.
        landed_files: What became of landed files; it says that this comes after.
    """
    return landing_zone.read_extracts("sample_results", sources, interpret_sample_results)


def interpret_batch_sheets(records: ir.Table, zones: Mapping[str, str]) -> ir.Table:
    """Batch sheets, each with a reason if it is none. Grain: one row per source and record.

    Args:
        records: Records of batches, as text.
        zones: Zones of times that carry none, by source.
    """
    time, why = _read_time(records.source, clean_text(records.inoculation_time), zones, "inoculation_time")
    batch = clean_text(records.batch_id)
    return records.select(
        "source",
        "record_id",
        batch_id=batch,
        product=clean_text(records.product),
        recipe=clean_text(records.recipe),
        inoculation_time=time,
        reason=ibis.coalesce(_why_no_key(batch, "batch_id"), why),
        extract=records.extract,
    )


def interpret_sample_results(records: ir.Table, zones: Mapping[str, str]) -> ir.Table:
    """Sample results, each with a reason if it is none. Grain: one row per source and record.

    `value` holds finite numbers; what else a result says, such as `< 0.1`, is in `value_text`. A record without either
    is an analysis that has no result yet: it needs no time.

    Args:
        records: Records of results, as text.
        zones: Zones of times that carry none, by source.
    """
    time, why = _read_time(records.source, clean_text(records.sampled_at), zones, "sampled_at")
    batch, sample, tag = (clean_text(records[name]) for name in ("batch_id", "sample_id", "tag"))
    text = clean_text(records.value)
    number, _ = as_number(text)
    value = (number.isnan() | number.isinf()).ifelse(None, number)
    reason = ibis.coalesce(
        _why_no_key(batch, "batch_id"),
        _why_no_key(sample, "sample_id"),
        _why_no_key(tag, "tag"),
        why,
        time.isnull().ifelse("sampled_at is missing", None),
    )
    return records.select(
        "source",
        "record_id",
        batch_id=batch,
        sample_id=sample,
        tag=tag,
        sampled_at=time,
        value=value,
        value_text=value.isnull().ifelse(text, None),
        unit=clean_text(records.unit),
        reason=text.notnull().ifelse(reason, None),
        extract=records.extract,
    )


def _read_time(
    source: ir.StringValue, text: ir.StringValue, zones: Mapping[str, str], name: str
) -> tuple[ir.Value, ir.Value]:
    """The UTC time of a text, and why it is none where it says something."""
    by_zone: dict[str, list[str]] = {}
    for one, zone in sorted(zones.items()):
        by_zone.setdefault(zone, []).append(one)
    aware, is_naive = read_iso(text, "")
    branches = [(source.isin(sources), read_iso(text, zone)[0]) for zone, sources in sorted(by_zone.items())]
    time = ibis.cases(*branches, else_=aware) if branches else aware
    reason = ibis.cases(
        (text.isnull() | time.notnull(), ibis.null("string")),
        (
            is_naive & ~source.isin(sorted(zones)) if zones else is_naive,
            f"{name} has no zone: declare time_zone of the source",
        ),
        else_=f"{name} does not read as a time",
    )
    return time.cast(TIME), reason


def _why_no_key(text: ir.StringValue, name: str) -> ir.Value:
    return ibis.cases(
        (text.isnull(), f"{name} is missing"),
        (text.length() > LONGEST_KEY, f"{name} is longer than {LONGEST_KEY} characters"),
    )
