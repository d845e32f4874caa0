"""The landing zone as a dataset: what lies in it, and what is known of it.

How files become raw files is in `landed_reading`, which is imported where there are some: a lake without landed files
pays next to nothing for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from bioreactor_lake.datasets import relation_catalog, warehouse
from bioreactor_lake.datasets.expressions import schema_of
from bioreactor_lake.datasets.json_rows import query_rows
from bioreactor_lake.datasets.preview import show_reason, show_rows
from bioreactor_lake.errors import LakeError
from bioreactor_lake.landing.limits import Limits

if TYPE_CHECKING:
    from bioreactor_lake.datasets.conversion import Reader
    from bioreactor_lake.datasets.landed_identity import Foreseen
    from bioreactor_lake.landing.places import LandingPlace
    from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile

FACTS = {
    "path": "VARCHAR",
    "source": "VARCHAR",
    "sha256": "VARCHAR",
    "size_bytes": "BIGINT",
    "arrived_at": "TIMESTAMP",
    "arrived_by": "VARCHAR",
    "status": "VARCHAR",
    "reason": "VARCHAR",
    "reader": "VARCHAR",
    "batch_ids": "VARCHAR[]",
    "rows_in": "BIGINT",
    "rows_read": "BIGINT",
    "rows_rejected": "BIGINT",
    "readings": "BIGINT",
    "ts_min": "TIMESTAMP",
    "ts_max": "TIMESTAMP",
    "run_id": "VARCHAR",
    "key": "VARCHAR",
    "settled": "BOOLEAN",
    "conversion": "VARCHAR",
    "batches_in_raw": "VARCHAR[]",
}
"""Columns of what was found out in a run; the last four are for the lake itself."""
KEPT_APART = ("key", "settled", "conversion", "batches_in_raw")
EMPTIED = "landed_emptied"
"""Table of raw files that went because no landed file has rows for them any more, until the manifest has noticed."""
NOW = "landed_now"
"""Temporary table of the landed files of which something is news."""

REJECTS = "landed_rejects"
"""Temporary table of the rejected lines of a run."""

ReadProfiles = Callable[[], "Mapping[str, Profile]"]
Interpret = Callable[[ir.Table, Mapping[str, str]], ir.Table]
"""Makes typed columns of the texts of records, given the zones of sources."""
Known = dict[str, dict[str, Any]]
"""Rows of `landing.files` that count, by path."""


def make_rejects(backend: Any) -> None:
    """Make room for the rejected lines of a run."""
    backend.raw_sql(
        f"CREATE OR REPLACE TEMP TABLE {REJECTS} "
        "(path VARCHAR, sha256 VARCHAR, line BIGINT, reason VARCHAR, text VARCHAR)"
    )


class LandingZone:
    """The files of the landing zone as they are now.

    Args:
        place: Where they are kept.
        config: Of the warehouse.
        limits: What a file may be.
    """

    def __init__(self, place: LandingPlace, config: warehouse.WarehouseConfig, limits: Limits) -> None:
        self._place, self._config, self._limits = place, config, limits
        self._backend: Any = warehouse.connect(config)

    def read(self, profiles: ReadProfiles, reader: Reader) -> ir.Table:
        """Make raw files of landed files. Grain: one row per landed file of which something is news.

        A file is read once by one version of its profile: idempotent, whichever way a run ends.

        Args:
            profiles: Reads the profiles, where there is a file to read.
            reader: The rules by which cells become readings.

        Raises:
            LakeError: The machine was at fault, or a profile is not understood; no file is quarantined for it.
        """
        known = self._known()
        rows: list[dict[str, Any]] = []
        emptied: list[str] = []
        make_rejects(self._backend)
        if known or "://" in self._place.root or self._place.is_there():
            from bioreactor_lake.datasets.landed_reading import LandedReading

            reading = LandedReading(self._place, self._config, self._limits, self._backend, reader)
            rows, emptied = reading.read(known, profiles)
        listed = query_rows(({"path": path} for path in emptied), {"path": "VARCHAR"})
        self._backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE {EMPTIED} AS {listed}")
        self._backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE {NOW} AS {query_rows(rows, FACTS)}")
        namespace = ops.Namespace(catalog="temp", database="main")
        return ops.DatabaseTable(NOW, schema_of(self._backend, [*FACTS.items()]), self._backend, namespace).to_expr()

    def read_extracts(self, kind: str, sources: Mapping[str, Any], interpret: Interpret) -> ir.Table:
        """What the extracts of sources say; arguments and result as of `extracted_records.read_records`."""
        from bioreactor_lake.datasets.extracted_records import read_records

        return read_records(self._backend, self._place, Path(self._config["filepath"]), kind, sources, interpret)

    def foresee(self, profiles: ReadProfiles, reader: Reader) -> list[Foreseen]:
        """What `read` would do, found without doing it; arguments and errors as there."""
        known = self._known()
        if not known and "://" not in self._place.root and not self._place.is_there():
            return []
        from bioreactor_lake.datasets.landed_reading import LandedReading

        make_rejects(self._backend)
        return LandedReading(self._place, self._config, self._limits, self._backend, reader).foresee(known, profiles)

    def _known(self) -> Known:
        """What is known of the files that were there last time, by path."""
        if relation_catalog.find(self._backend, "landing", "files") is None:
            return {}
        names = ", ".join(f"{'k' if name in KEPT_APART else 'f'}.{name}" for name in FACTS)
        cursor = self._backend.raw_sql(
            f"SELECT {names} FROM landing.files AS f JOIN lake_state.landing_keys AS k USING (path, sha256) "
            "WHERE f.status NOT IN ('superseded', 'removed')"
        )
        return {row[0]: dict(zip(FACTS, row, strict=True)) for row in cursor.fetchall()}


class LandingZoneDataset(AbstractDataset[None, LandingZone]):
    """The landing zone, in which originals are kept as they came.

    Args:
        path: The folder, or `s3://bucket/prefix`.
        warehouse: The warehouse that knows what became of them, and where raw files lie.
        limits: What a file may be at most, as of `Limits`.
        metadata: For Kedro-Viz.
    """

    def __init__(
        self,
        *,
        path: str,
        warehouse: warehouse.WarehouseConfig,
        limits: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._path, self._config, self._limits = path, warehouse, Limits.from_config(limits)
        self.metadata = metadata

    description = "Files as they came, one folder for each source"

    @property
    def root(self) -> str:
        """The folder, or the URL of the bucket and what stands before its objects' names."""
        return self._path.rstrip("/")

    def open(self) -> LandingPlace:
        """The place itself.

        Raises:
            LakeError: It is none, or what reads object stores is not installed.
        """
        from bioreactor_lake.landing.places import open_landing

        # Object stores are reached as those of raw files are.
        return open_landing(self._path, self._config["raw"])

    @property
    def limits(self) -> Limits:
        """What a file may be at most."""
        return self._limits

    @property
    def warehouse_config(self) -> warehouse.WarehouseConfig:
        """The warehouse that knows what became of the files."""
        return self._config

    def load(self) -> LandingZone:
        """The files as they are now.

        Raises:
            LakeError: The place cannot be listed.
        """
        return LandingZone(self.open(), self._config, self._limits)

    def save(self, data: None) -> None:
        """Refused: originals are never changed.

        Raises:
            LakeError: Always.
        """
        raise LakeError("Landed files are never written by a node.", next_step="Land them: kedro lake land FILE")

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first files, for Kedro-Viz, or why there are none."""
        try:
            files = self.open().find_files()[:nrows]
        except LakeError as error:
            return show_reason(error)
        return show_rows(["path", "size_bytes", "owner"], [(file.path, file.size_bytes, file.owner) for file in files])

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path}

    def _exists(self) -> bool:
        try:
            return self.open().is_there()
        except LakeError:
            return False
