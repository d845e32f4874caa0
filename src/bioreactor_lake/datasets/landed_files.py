"""`landing.files`: every version of every landed file, who read it, and what became of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets import relation_catalog
from bioreactor_lake.datasets.landing_zone import EMPTIED, FACTS, KEPT_APART, NOW, REJECTS
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.lake.incidents import Finding, without_values
from bioreactor_lake.lake.runs import Run, WriteReport, current_run
from bioreactor_lake.sql import literal

_COLUMNS = tuple(name for name in FACTS if name not in KEPT_APART)
_REJECTED = "landing.rejected_lines"
_KEYS = "lake_state.landing_keys"
_NAMED = 10
_NOTICES = {
    "status = 'duplicate'": "Not read again: landed file {path}: {reason}",
    "status = 'missing'": "Missing: landed file {path}: its rows stay until a run is told that this is meant, with "
    "--params allow_removal=true",
    "status = 'read' AND rows_rejected > 0": f"Rejected: {{rows:,}} lines of landed file {{path}} (see {_REJECTED})",
}


class LandedFilesDataset(WarehouseDataset):
    """`landing.files`, with `landing.rejected_lines` beside it: each line that was not read, with its reason.

    A save takes what is news of landed files; what is known of the others stays. A version that another one has
    followed under its path is `superseded`. Raw files were written before: where a run ends in between, the next one
    writes them again, which changes nothing.

    Args:
        **relation: As for `WarehouseDataset`.
    """

    @property
    def column_types(self) -> Mapping[str, str]:
        """Its columns, which are known before it is there, with DuckDB's types."""
        return {name: FACTS[name] for name in _COLUMNS}

    def load(self) -> ir.Table | None:
        """The table; None where nothing was ever landed."""
        return super().load() if self.exists() else None

    def save(self, data: ir.Table) -> None:
        """Take what is news.

        Raises:
            LakeError: DuckDB could not; the table is as it was.
        """
        run, backend = current_run() or Run(), self.connection
        (news,) = backend.raw_sql(f"SELECT count(*) FROM {NOW}").fetchone()
        if news or not self.exists():
            super().save(data)
        else:
            run.writes.append(WriteReport(self.qualified_name, 0, run.seconds_since(0), batches=0))
        self._give_notice(backend, run)

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        columns, kept = ", ".join(_COLUMNS), ", ".join(KEPT_APART)
        run = current_run()
        this_run = "NULL" if run is None else literal(run.run_id)
        backend.raw_sql("CREATE SCHEMA IF NOT EXISTS lake_state")
        backend.raw_sql(f"CREATE TABLE IF NOT EXISTS {self._qualified} AS SELECT {columns} FROM {NOW} LIMIT 0")
        backend.raw_sql(f"CREATE TABLE IF NOT EXISTS {_KEYS} AS SELECT path, sha256, {kept} FROM {NOW} LIMIT 0")
        backend.raw_sql(f"CREATE TABLE IF NOT EXISTS {_REJECTED} AS SELECT * FROM {REJECTS} LIMIT 0")
        same = f"(path, sha256) IN (SELECT (path, sha256) FROM {NOW})"
        # Of what was read in this run; of others only the times are news.
        read = f"SELECT (path, sha256) FROM {NOW} WHERE run_id IS NOT DISTINCT FROM {this_run}"
        backend.raw_sql(f"DELETE FROM {_REJECTED} WHERE (path, sha256) IN ({read})")
        backend.raw_sql(f"INSERT INTO {_REJECTED} FROM {REJECTS} ORDER BY path, line")
        backend.raw_sql(f"DELETE FROM {self._qualified} WHERE {same}")
        backend.raw_sql(
            f"UPDATE {self._qualified} SET status = 'superseded' WHERE path IN (SELECT path FROM {NOW}) "
            "AND status <> 'removed'"
        )
        backend.raw_sql(f"INSERT INTO {self._qualified} SELECT {columns} FROM {NOW} ORDER BY path")
        backend.raw_sql(f"DELETE FROM {_KEYS} WHERE path IN (SELECT path FROM {NOW})")
        backend.raw_sql(f"INSERT INTO {_KEYS} SELECT path, sha256, {kept} FROM {NOW}")
        # The manifest knows by it that nobody has lost these files.
        backend.raw_sql(f"CREATE TABLE IF NOT EXISTS lake_state.{EMPTIED} (path VARCHAR)")
        backend.raw_sql(f"INSERT INTO lake_state.{EMPTIED} FROM temp.main.{EMPTIED}")
        self._comment(backend, _COLUMNS)
        relation_catalog.forget()
        (rows,) = backend.raw_sql(f"SELECT count(*) FROM {NOW}").fetchone()
        return WriteReport(self.qualified_name, int(rows), 0)

    def _give_notice(self, backend: Any, run: Run) -> None:
        """Say what is amiss with landed files, for as long as it is."""
        run.notices += [f"Quarantined: {one.what}: {one.in_full}" for one in find_quarantined(backend)]
        for condition, wording in _NOTICES.items():
            rows = backend.raw_sql(
                f"SELECT path, coalesce(reason, ''), coalesce(rows_rejected, 0) FROM {self._qualified} "
                f"WHERE {condition} ORDER BY path"
            ).fetchall()
            said = [wording.format(path=path, reason=reason, rows=rejected) for path, reason, rejected in rows]
            run.notices += said[:_NAMED]
            if len(said) > _NAMED:
                run.notices.append(f"… and {len(said) - _NAMED:,} more landed files like these, see landing.files")


def find_quarantined(backend: Any) -> list[Finding]:
    """The landed files that are quarantined."""
    if relation_catalog.find(backend, "landing", "files") is None:
        return []
    rows = backend.raw_sql(
        "SELECT path, reason FROM landing.files WHERE status = 'quarantined' ORDER BY path"
    ).fetchall()
    return [Finding(f"landed file {path}", without_values(reason), in_full=reason) for path, reason in rows]


def find_rejecting(backend: Any) -> list[Finding]:
    """The landed files that have lines which were not read."""
    if relation_catalog.find(backend, "landing", "files") is None:
        return []
    rows = backend.raw_sql(
        "SELECT path, rows_rejected FROM landing.files WHERE status = 'read' AND rows_rejected > 0 ORDER BY path"
    ).fetchall()
    return [
        Finding(f"landed file {path}", f"{lines:,} {'line was' if lines == 1 else 'lines were'} not read")
        for path, lines in rows
    ]
