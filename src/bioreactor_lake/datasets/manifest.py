"""The manifest of raw files, and the accepted ones as tables: one transaction writes both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import ibis.expr.types as ir

from bioreactor_lake.datasets import compaction, holdings, relation_catalog, warehouse
from bioreactor_lake.datasets.gate import FILES_READ
from bioreactor_lake.datasets.inspection import FACTS
from bioreactor_lake.datasets.landed_files import find_quarantined, find_rejecting
from bioreactor_lake.datasets.landing_zone import EMPTIED
from bioreactor_lake.datasets.parquet_views import PARQUET_VIEW, define_views
from bioreactor_lake.datasets.reads import find_inspected
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.errors import LakeError, NothingToIngest
from bioreactor_lake.lake.compiled import compile_sql
from bioreactor_lake.lake.incidents import Finding, without_values
from bioreactor_lake.lake.runs import Run, WriteReport, current_run
from bioreactor_lake.sql import literal

_KEYS = "lake_state.file_keys"
_NO_KEYS = "(SELECT NULL AS path, NULL AS location WHERE false)"
_INSPECTED = (
    "size_bytes", "modified_at", "schema_id", "rules_hash", "batch_ids", "rows_accepted", "rows_rejected",
    "ts_min", "ts_max", "reason",
)  # fmt: skip
_COLUMNS = (
    "path", "size_bytes", "modified_at", "content_hash", "schema_id", "rules_hash", "batch_ids", "rows_accepted",
    "rows_rejected", "ts_min", "ts_max", "status", "reason", "first_seen_at", "last_seen_at", "run_id",
)  # fmt: skip

_OWN_TYPES = {"status": "VARCHAR", "first_seen_at": "TIMESTAMP", "last_seen_at": "TIMESTAMP", "run_id": "VARCHAR"}


class ManifestDataset(WarehouseDataset):
    """`raw.files`: every version of every raw file that was ever seen, and what became of it.

    A save takes the inspection of the files that are there now and keeps what was known: a version that is seen again
    keeps its `first_seen_at`, one that is no longer there is `superseded` (the path has other content) or `removed`.
    The same transaction defines the views of the accepted files (`parquet_views`), so that the manifest and what is
    read of it cannot differ.

    Args:
        max_removed_share: Share of the accepted files that may be gone before a run has to be told that this is meant.
        **relation: As for `WarehouseDataset`.
    """

    def __init__(self, *, max_removed_share: float = 0.2, **relation: Any) -> None:
        super().__init__(**relation)
        self._max_removed_share = max_removed_share

    @property
    def column_types(self) -> Mapping[str, str]:
        """Its columns, which are known before it is there, with DuckDB's types."""
        return {name: FACTS.get(name) or _OWN_TYPES[name] for name in _COLUMNS}

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        run = current_run() or Run()
        columns = ", ".join(_COLUMNS)
        backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE seen AS {compile_sql(backend, data)}")
        backend.raw_sql(
            f"CREATE TABLE IF NOT EXISTS {self._qualified} AS SELECT {columns} FROM (SELECT *, "
            "CAST(NULL AS TIMESTAMP) AS first_seen_at, CAST(NULL AS TIMESTAMP) AS last_seen_at, "
            "CAST(NULL AS VARCHAR) AS run_id FROM seen LIMIT 0)"
        )
        self._guard_removals(backend, run)
        before = self._accepted(backend)
        known = ", ".join(f"CASE WHEN n.path IS NULL THEN o.{name} ELSE n.{name} END AS {name}" for name in _INSPECTED)
        backend.raw_sql(
            f"""CREATE OR REPLACE TABLE {self._qualified} AS SELECT {columns} FROM (
            SELECT coalesce(n.path, o.path) AS path, coalesce(n.content_hash, o.content_hash) AS content_hash, {known},
                CASE WHEN n.path IS NOT NULL THEN n.status
                    WHEN o.status IN ('superseded', 'removed') THEN o.status
                    WHEN o.path IN (SELECT path FROM seen) THEN 'superseded' ELSE 'removed' END AS status,
                coalesce(o.first_seen_at, make_timestamp(epoch_us(now()))) AS first_seen_at,
                CASE WHEN n.path IS NULL THEN o.last_seen_at ELSE make_timestamp(epoch_us(now())) END AS last_seen_at,
                CASE WHEN n.path IS NULL OR (n.rules_hash IS NOT DISTINCT FROM o.rules_hash
                    AND n.status = o.status AND n.reason IS NOT DISTINCT FROM o.reason)
                    THEN o.run_id ELSE {literal(run.run_id)} END AS run_id
            FROM seen AS n FULL JOIN {self._qualified} AS o
                ON n.path = o.path AND n.content_hash IS NOT DISTINCT FROM o.content_hash)
            ORDER BY path, first_seen_at"""
        )
        holdings.ensure(backend)
        holdings.remember_relation(backend, self.qualified_name, "manifest", "", data, run.run_id)
        backend.raw_sql(
            "CREATE OR REPLACE TABLE lake_state.file_keys AS SELECT path, location, key, settled, path_column FROM seen"
        )
        if not self._has_keys(backend):
            relation_catalog.forget()
        self._remember_batches(backend)
        if relation_catalog.find(backend, "lake_state", EMPTIED) is not None:
            backend.raw_sql(f"DELETE FROM lake_state.{EMPTIED}")
        if let_go := compaction.forget_broken(backend):
            run.notices.append("Compacted copies were let go, their originals are read again: kedro lake compact")
        if let_go or self._accepted(backend) != before or run.full_refresh:
            define_views(backend, warehouse.raw_store(self._config).root)
        self._comment(backend, _COLUMNS)
        self._give_notice(backend, run)
        (rows,) = backend.raw_sql(f"SELECT count(*) FROM {self._qualified}").fetchone()
        return WriteReport(self.qualified_name, int(rows), 0, reads=(find_inspected(backend, run.run_id),))

    def _remember_batches(self, backend: Any) -> None:
        """Keep of a file that cannot be read now which batches it held when it could; one that is gone holds none."""
        files = f"(SELECT path FROM {self._qualified} WHERE status ="
        backend.raw_sql(f"CREATE TABLE IF NOT EXISTS {FILES_READ} (path VARCHAR, batch_ids VARCHAR[])")
        backend.raw_sql(
            f"CREATE OR REPLACE TABLE {FILES_READ} AS SELECT path, batch_ids FROM {self._qualified} "
            f"WHERE status = 'accepted' UNION ALL SELECT path, CASE WHEN path IN {files} 'quarantined') "
            f"THEN batch_ids ELSE [] END FROM {FILES_READ} WHERE path NOT IN {files} 'accepted')"
        )

    def _accepted(self, backend: Any) -> list[tuple[Any, ...]]:
        """What the views of the accepted files are made from."""
        rows: list[tuple[Any, ...]] = backend.raw_sql(
            f"SELECT f.path, f.schema_id, k.location FROM {self._qualified} AS f LEFT JOIN "
            f"{_KEYS if self._has_keys(backend) else _NO_KEYS} AS k USING (path) WHERE f.status = 'accepted' ORDER BY 1"
        ).fetchall()
        return rows

    def _has_keys(self, backend: Any) -> bool:
        return relation_catalog.find(backend, "lake_state", "file_keys") is not None

    def _guard_removals(self, backend: Any, run: Run) -> None:
        # Those that went because their landed files say something else were not lost.
        has_landed = relation_catalog.find(backend, "lake_state", EMPTIED) is not None
        known = f"AND path NOT IN (SELECT path FROM lake_state.{EMPTIED})" if has_landed else ""
        accepted, gone = backend.raw_sql(
            f"SELECT count(*), count(*) FILTER (path NOT IN (SELECT path FROM seen) {known}) FROM {self._qualified} "
            "WHERE status = 'accepted'"
        ).fetchone()
        if gone > accepted * self._max_removed_share and not run.allow_removal:
            raise LakeError(
                f"{gone:,} of {accepted:,} accepted raw files are gone from {self._config['raw']['path']}.",
                kept="Nothing was changed: an unmounted disk looks the same, as does another folder than last time.",
                next_step="Bring them back; or let their batches go with --params allow_removal=true; or give the "
                "other folder a lake of its own (BIOREACTOR_LAKE_WAREHOUSE and BIOREACTOR_LAKE_POSTGRES_URL).",
            )

    def why_refused(self, gone: int) -> str:
        """What a run would say to so many accepted files being gone, or nothing."""
        if not gone or not self.exists():
            return ""
        (accepted,) = self.connection.raw_sql(
            f"SELECT count(*) FROM {self._qualified} WHERE status = 'accepted'"
        ).fetchone()
        if gone <= accepted * self._max_removed_share:
            return ""
        return f"A run will stop, {gone:,} of {accepted:,} raw files being gone, unless: --params allow_removal=true"

    def compact(self, *, finished_days: float, by: Literal["date", "batch"]) -> tuple[list[compaction.Copy], int]:
        """Copy small files of finished batches together, and read the copies in place of their originals.

        Args:
            finished_days: A batch is finished when none of its files was written for so long.
            by: Whether a folder holds the files of a month or of a batch.

        Returns:
            The copies, and how many earlier ones were deleted because they stood for their originals no longer.

        Raises:
            LakeError: A copy could not be made, or not be trusted; the originals are read as before.
        """
        if not Path(self._config["filepath"]).exists() or not self.exists():
            raise LakeError("There are no files to compact yet.", next_step="Take them in: kedro run")
        backend = warehouse.connect(self._config, write=True)
        holdings.ensure(backend)
        compaction.forget_broken(backend)
        try:
            copies = list(compaction.write_copies(backend, self._config, finished_days=finished_days, by=by))
        finally:
            with warehouse.transaction(backend):
                define_views(backend, warehouse.raw_store(self._config).root)
        return copies, compaction.delete_forgotten(backend, self._config)

    def _give_notice(self, backend: Any, run: Run) -> None:
        rows = backend.raw_sql(
            f"SELECT path, reason FROM {self._qualified} WHERE status = 'quarantined' ORDER BY path"
        ).fetchall()
        run.notices += [f"Quarantined: {path}: {reason}" for path, reason in rows]
        amiss = [Finding(path, without_values(why), in_full=why) for path, why in rows]
        run.observe("quarantine", [*find_quarantined(backend), *amiss])
        rejected = backend.raw_sql(
            f"SELECT path, rows_rejected FROM {self._qualified} WHERE status = 'accepted' AND rows_rejected > 0 "
            "ORDER BY path"
        ).fetchall()
        set_aside = [
            Finding(path, f"{rows:,} {'row is no reading' if rows == 1 else 'rows are no readings'}")
            for path, rows in rejected
        ]
        run.observe("rejected", [*find_rejecting(backend), *set_aside])
        if small := compaction.count_small(backend):
            run.notices.append(
                f"{small:,} raw files are smaller than {compaction.FAR_BYTES // 10**6} MB; 100 MB to 1 GB scan best: "
                "kedro lake compact"
            )
        run.notices += [f"Rejected: {rows:,} rows of {path} (see staging.rejected_readings)" for path, rows in rejected]


class AcceptedFilesDataset(WarehouseDataset):
    """The accepted raw files of the manifest, as one lazy table per file schema. Read-only.

    Args:
        **relation: As for `WarehouseDataset`, naming the manifest's table.
    """

    def load(self) -> dict[str, ir.Table]:
        """Schema id to the rows of the accepted files of that schema.

        Raises:
            NothingToIngest: No file is accepted.
        """
        super().load()
        backend = self.connection
        counts = dict(backend.raw_sql(f"SELECT status, count(*) FROM {self._qualified} GROUP BY status").fetchall())
        ids = backend.raw_sql(
            f"SELECT DISTINCT schema_id FROM {self._qualified} WHERE status = 'accepted' ORDER BY schema_id"
        ).fetchall()
        if not ids:
            raise NothingToIngest(
                f"No raw file was accepted, {counts.get('quarantined', 0)} were quarantined.",
                kept="The later layers are as they were.",
                next_step=f"Mend the files named above; {self.qualified_name} keeps the reasons.",
            )
        names = {id_: PARQUET_VIEW + id_ for (id_,) in ids}
        return {id_: self._table(name, self._columns_of(name)) for id_, name in names.items()}

    def save(self, data: Any) -> None:
        """Refused: the manifest's own dataset writes it.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("save raw_files@manifest instead")
