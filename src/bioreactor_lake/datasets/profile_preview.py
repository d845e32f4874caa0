"""What a profile makes of a file, without a warehouse and without a trace."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis

from bioreactor_lake.datasets.conversion import Conversion, Reader
from bioreactor_lake.datasets.landing_zone import REJECTS, make_rejects
from bioreactor_lake.landing.limits import Limits
from bioreactor_lake.landing.zone import LandedFile
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.sql import escape_glob, literal

_SHOWN = 10
_TAGS = (
    "SELECT tag, any_value(unit), count(*), count(value_text), min(value), max(value), "
    "count(DISTINCT equipment_id) FROM {} GROUP BY tag ORDER BY tag"
)


@dataclass(frozen=True)
class TagSeen:
    """A tag of a file.

    Args:
        tag: Its name.
        unit: Its unit, if it is known.
        readings: How many there are.
        texts: How many of them are no numbers.
        smallest: The smallest number.
        largest: The largest number.
    """

    tag: str
    unit: str | None
    readings: int
    texts: int
    smallest: float | None
    largest: float | None


@dataclass(frozen=True)
class Preview:
    """What a profile makes of a file.

    Args:
        profile: The profile.
        facts: As in `landing.files`: rows, batches, times, and `reason` where it is not read.
        equipment: The equipment.
        tags: The tags.
        first: The first readings: batch, equipment, time, tag, value, unit, line.
        rejected: The first rejected lines: number, reason, text.
        warnings: What is odd.
    """

    profile: Profile
    facts: Mapping[str, Any]
    equipment: tuple[str, ...] = ()
    tags: tuple[TagSeen, ...] = ()
    first: tuple[tuple[Any, ...], ...] = ()
    rejected: tuple[tuple[Any, ...], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_read(self) -> bool:
        """Whether it would become a raw file."""
        return self.facts.get("reason") is None


def preview_file(location: Path, path: str, profile: Profile, limits: Limits, reader: Reader) -> Preview:
    """Read a file by a profile.

    Args:
        location: The file.
        path: Its path under the source's folder, as it would land.
        profile: The profile.
        limits: What a file may be.
        reader: The rules.

    Raises:
        LakeError: The machine was at fault, and not the file.
    """
    backend = ibis.duckdb.connect()
    try:
        make_rejects(backend)
        backend.raw_sql("SET TimeZone = 'UTC'")
        file = LandedFile(f"{profile.source}/{path}", location, "", location.stat().st_size, True, "", True)
        with tempfile.TemporaryDirectory() as folder:
            converted = Conversion(backend, reader, limits, Path(folder)).convert(file, "", profile)
            rejected = backend.raw_sql(
                f"SELECT line, reason, text FROM {REJECTS} ORDER BY line LIMIT {_SHOWN}"
            ).fetchall()
            if converted.location is None or converted.facts.get("reason"):
                return Preview(profile, converted.facts, rejected=tuple(rejected))
            rows = f"read_parquet({literal(escape_glob(str(converted.location)))})"
            tags = tuple(TagSeen(*row[:6]) for row in backend.raw_sql(_TAGS.format(rows)).fetchall())
            equipment = backend.raw_sql(f"SELECT DISTINCT equipment_id FROM {rows} ORDER BY 1").fetchall()
            first = backend.raw_sql(
                "SELECT batch_id, equipment_id, ts, tag, coalesce(CAST(value AS VARCHAR), value_text), unit, line "
                f"FROM {rows} ORDER BY line, tag LIMIT {_SHOWN}"
            ).fetchall()
            warnings = _warnings(backend, rows, tags, converted.facts)
        return Preview(
            profile,
            converted.facts,
            tuple(one for (one,) in equipment),
            tags,
            tuple(first),
            tuple(rejected),
            tuple(warnings),
        )
    finally:
        backend.disconnect()


def _warnings(backend: Any, rows: str, tags: tuple[TagSeen, ...], facts: Mapping[str, Any]) -> list[str]:
    found = []
    if facts["rows_rejected"]:
        found.append(f"{facts['rows_rejected']:,} of {facts['rows_in']:,} rows are rejected.")
    for tag in tags:
        if 0 < tag.texts < tag.readings:
            found.append(f"{tag.tag}: {tag.texts:,} of {tag.readings:,} values are no numbers and are kept as text.")
    (doubled,) = backend.raw_sql(
        f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM {rows} "
        "GROUP BY batch_id, equipment_id, tag, ts HAVING n > 1)"
    ).fetchone()
    if doubled:
        found.append(f"{doubled:,} readings have the batch, equipment, tag and time of another one.")
    (back,) = backend.raw_sql(
        "SELECT count(*) FROM (SELECT ts < lag(ts) OVER (PARTITION BY batch_id, equipment_id, tag ORDER BY line) AS b "
        f"FROM {rows}) WHERE b"
    ).fetchone()
    if back:
        found.append(f"Time goes back {back:,} times from one row to the next.")
    if facts["ts_min"].year < 1990 or facts["ts_max"].year > 2100:
        found.append(f"Times from {facts['ts_min']} to {facts['ts_max']}: check time.format and time.unit.")
    if without := [tag.tag for tag in tags if tag.unit is None]:
        more = f" and {len(without) - 3} more" if len(without) > 3 else ""
        found.append(f"No unit is known of {', '.join(without[:3])}{more}: see tags.units.")
    return found
