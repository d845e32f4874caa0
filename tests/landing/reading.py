"""Files read by a profile as a run reads them, without a lake around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq

from bioreactor_lake.datasets.conversion import Conversion
from bioreactor_lake.datasets.landing_zone import REJECTS, make_rejects
from bioreactor_lake.landing.limits import Limits
from bioreactor_lake.landing.zone import LandedFile
from bioreactor_lake.pipelines.ingestion.nodes import ReadByProfile
from bioreactor_lake.pipelines.ingestion.profiles.profile_yaml import read_profile

WIDE: dict[str, Any] = {
    "time": {"columns": "time"},
    "batch": {"value": "B"},
    "equipment": {"value": "E"},
    "wide": {},
}


@dataclass
class Outcome:
    """What became of a file: readings and rejects as dicts in the order of lines, and the facts of `landing.files`."""

    readings: list[dict[str, Any]]
    rejects: dict[int, str]
    facts: dict[str, Any]

    @property
    def values(self) -> list[tuple[Any, ...]]:
        return [(one["line"], one["tag"], one["value"], one["value_text"]) for one in self.readings]

    @property
    def times(self) -> list[str]:
        return [str(one["ts"]) for one in self.readings]


class Reader:
    """Reads files in a folder, one DuckDB for all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend = ibis.duckdb.connect()
        self.backend.raw_sql("SET enable_progress_bar = false")
        self.limits = Limits()
        self.look = True
        self._conversions: dict[Limits, Conversion] = {}

    def read(self, content: str | bytes, config: Mapping[str, Any] = WIDE, path: str = "file.csv") -> Outcome:
        location = self.folder / "landed" / path
        location.parent.mkdir(parents=True, exist_ok=True)
        location.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.read_file(location, config, path)

    def read_file(self, location: Path, config: Mapping[str, Any], path: str | None = None) -> Outcome:
        make_rejects(self.backend)
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        profile = read_profile("mine", config)
        file = LandedFile(f"mine/{path or location.name}", location, "", location.stat().st_size, True, "", True)
        conversion = self._conversions.setdefault(
            self.limits, Conversion(self.backend, ReadByProfile(), self.limits, work)
        )
        found = conversion.convert(file, "0", profile)
        rows: list[dict[str, Any]] = []
        if found.location is not None:
            assert pq.ParquetFile(found.location).metadata.num_rows == found.facts["readings"]
            if self.look:
                table = pq.read_table(found.location)
                rows = table.sort_by([("line", "ascending"), ("tag", "ascending")]).to_pylist()
            found.location.unlink()
        rejects = self.backend.raw_sql(f"SELECT line, reason FROM {REJECTS} ORDER BY line").fetchall()
        if "rows_in" in found.facts:
            facts = found.facts
            assert facts["rows_in"] == facts["rows_read"] + facts["rows_rejected"]
            assert len(rejects) == facts["rows_rejected"]
        return Outcome(rows, dict(rejects), found.facts)
