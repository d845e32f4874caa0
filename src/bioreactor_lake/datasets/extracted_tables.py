"""`raw.batch_sheets` and `raw.sample_results`: what sources say of batches, from the extracts that have landed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets import holdings, relation_catalog
from bioreactor_lake.datasets.expressions import compile_typed
from bioreactor_lake.datasets.extracted_records import STATE, news_name
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.lake.runs import Run, WriteReport, current_run
from bioreactor_lake.sources.records import PATH
from bioreactor_lake.sql import literal

_TYPES = {
    "batch_sheets": {
        "source": "VARCHAR",
        "record_id": "VARCHAR",
        "batch_id": "VARCHAR",
        "product": "VARCHAR",
        "recipe": "VARCHAR",
        "inoculation_time": "TIMESTAMP",
        "reason": "VARCHAR",
    },
    "sample_results": {
        "source": "VARCHAR",
        "record_id": "VARCHAR",
        "batch_id": "VARCHAR",
        "sample_id": "VARCHAR",
        "tag": "VARCHAR",
        "sampled_at": "TIMESTAMP",
        "value": "DOUBLE",
        "value_text": "VARCHAR",
        "unit": "VARCHAR",
        "reason": "VARCHAR",
    },
}
_ORIGINS = "landing.extracted_records"
_ORIGINS_ARE = "One row per record of a source, with the extract that holds it as it is now"


class ExtractedTableDataset(WarehouseDataset):
    """The records of all sources as they are now, with `landing.extracted_records` beside it: which extract has each.

    A save takes the rows of sources that have news; those of others stay. A batch's fingerprint is a hash of its rows,
    without the extracts that they came in: what comes again as it was makes nothing stale.

    Args:
        **relation: As for `WarehouseDataset`; the table is `batch_sheets` or `sample_results`.
    """

    @property
    def column_types(self) -> Mapping[str, str]:
        """Its columns, which are known before it is there, with DuckDB's types."""
        return _TYPES[self._table_name]

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        holdings.ensure(backend)
        name, kind = self.qualified_name, self._table_name
        backend.raw_sql(f"CREATE TABLE IF NOT EXISTS {STATE} (kind VARCHAR, source VARCHAR, digest VARCHAR)")
        (news,) = backend.raw_sql(f"SELECT count(*) FROM {news_name(kind)}").fetchone()
        is_new = relation_catalog.find(backend, self._database, kind) is None
        if not news and not is_new:
            self._give_notice(backend)
            return WriteReport(name, 0, 0, batches=0)
        if is_new:
            columns = ", ".join(f"{column} {type_}" for column, type_ in self.column_types.items())
            backend.raw_sql(f"CREATE TABLE {self._qualified} ({columns})")
            self._comment(backend, [*self.column_types])
        backend.raw_sql(
            f"CREATE TABLE IF NOT EXISTS {_ORIGINS} "
            "(table_name VARCHAR, source VARCHAR, record_id VARCHAR, path VARCHAR)"
        )
        backend.raw_sql(f"COMMENT ON TABLE {_ORIGINS} IS {literal(_ORIGINS_ARE)}")
        rows = self._replace(backend, data)
        batches = self._hold(backend)
        relation_catalog.forget()
        self._give_notice(backend)
        return WriteReport(name, rows, 0, batches=None if is_new else batches)

    def _replace(self, backend: Any, data: ir.Table) -> int:
        """Write the rows of sources that have news in the place of theirs; how many."""
        kind, columns = self._table_name, ", ".join(self.column_types)
        backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE extracted_rows AS {compile_typed(backend, data)}")
        sources = f"source IN (SELECT source FROM {news_name(kind)})"
        backend.raw_sql(f"DELETE FROM {self._qualified} WHERE {sources}")
        backend.raw_sql(
            f"INSERT INTO {self._qualified} SELECT {columns} FROM extracted_rows ORDER BY batch_id, source, record_id"
        )
        backend.raw_sql(f"DELETE FROM {_ORIGINS} WHERE table_name = {literal(kind)} AND {sources}")
        backend.raw_sql(
            f"INSERT INTO {_ORIGINS} SELECT {literal(kind)}, source, record_id, {PATH} FROM extracted_rows "
            "ORDER BY source, record_id"
        )
        backend.raw_sql(f"DELETE FROM {STATE} WHERE kind = {literal(kind)} AND {sources}")
        backend.raw_sql(
            f"INSERT INTO {STATE} SELECT {literal(kind)}, source, digest FROM {news_name(kind)} "
            "WHERE digest IS NOT NULL ORDER BY source"
        )
        (rows,) = backend.raw_sql("SELECT count(*) FROM extracted_rows").fetchone()
        backend.raw_sql("DROP TABLE extracted_rows")
        return int(rows)

    def _hold(self, backend: Any) -> int:
        """Keep the fingerprints of all batches; how many are others than before."""
        name, run = literal(self.qualified_name), current_run()
        backend.raw_sql(
            "CREATE OR REPLACE TEMP TABLE extracted_batches AS SELECT batch_id, count(*) AS rows, "
            "md5(count(*) || ':' || bit_xor(md5_number(CAST(t AS VARCHAR)))) AS fingerprint "
            f"FROM {self._qualified} AS t WHERE batch_id IS NOT NULL GROUP BY batch_id"
        )
        held = f"SELECT batch_id, fingerprint FROM lake_state.held WHERE name = {name}"
        (changed,) = backend.raw_sql(
            f"SELECT count(*) FROM extracted_batches AS e FULL JOIN ({held}) AS h USING (batch_id) "
            "WHERE e.fingerprint IS DISTINCT FROM h.fingerprint"
        ).fetchone()
        backend.raw_sql(f"DELETE FROM lake_state.held WHERE name = {name}")
        backend.raw_sql(
            f"INSERT INTO lake_state.held SELECT {name}, batch_id, fingerprint, rows FROM extracted_batches "
            "ORDER BY batch_id"
        )
        backend.raw_sql("DROP TABLE extracted_batches")
        holdings.remember_extracted(backend, self.qualified_name, None if run is None else run.run_id)
        return int(changed)

    def _give_notice(self, backend: Any) -> None:
        """Say which records are no rows of the lake, for as long as that is so."""
        run = current_run() or Run()
        rows = backend.raw_sql(
            f"SELECT source, count(*), min(reason) FROM {self._qualified} WHERE reason IS NOT NULL GROUP BY source "
            "ORDER BY source"
        ).fetchall()
        run.notices += [
            f"Rejected: {count:,} records of the source {source} (see {self.qualified_name}), such as: {reason}"
            for source, count, reason in rows
        ]
