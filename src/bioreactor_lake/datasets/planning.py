"""What the next run would do, found without doing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from bioreactor_lake.datasets import holdings
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.datasets.tables import MaterialisedDataset, RawViewDataset, ViewDataset
from bioreactor_lake.lake.logic import hash_logic

_RAW = "raw.bioreactor"
_INSPECTED = "temp.main.inspected_raw_files"


@dataclass(frozen=True)
class TablePlan:
    """What would happen to one table.

    Args:
        table: Schema and name.
        stale: Batches that would be written, in order.
        gone: Batches that would be deleted.
        total: Batches that the table will hold.
        reason: Why it would be written as a whole; None where it would not.
    """

    table: str
    stale: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    total: int | None = None
    reason: str | None = None

    @property
    def up_to_date(self) -> bool:
        """Whether nothing would be written."""
        return not self.stale and not self.gone and self.reason is None


@dataclass(frozen=True)
class RunPlan:
    """What the next run would do.

    Args:
        files: Path to what became of it (new, changed, removed, read again, quarantined), for files that differ.
        tables: The tables and marts in the order of the run.
        causes: For batches that would be written because of a file, the file.
        refusal: Why the run would stop before it writes anything; empty where it would not.
    """

    files: Mapping[str, str]
    tables: tuple[TablePlan, ...]
    causes: Mapping[str, str]
    refusal: str = ""


def plan_run(catalog: CatalogProtocol[Any, Any], pipeline: Pipeline) -> RunPlan:
    """Compare what every table holds with what it would hold after a run.

    Files that changed are read, nothing is written.

    Args:
        catalog: The project's catalog.
        pipeline: All nodes.

    Raises:
        LakeError: There is no warehouse yet, or it cannot be read.
    """
    refusal = ""
    files: dict[str, str] = {}
    causes: dict[str, str] = {}
    tables: list[TablePlan] = []
    assume: dict[str, str] = {}
    for node in pipeline.nodes:
        for output in node.outputs:
            dataset = catalog[output]
            if output == "raw_files@manifest":
                node.run({name: catalog.load(name) for name in node.inputs})
                files, causes = _differing_files(dataset)
                refusal = dataset.why_refused(sum(what == "removed" for what in files.values()))
                assume[_RAW] = _raw_fingerprints()
            elif not isinstance(dataset, RawViewDataset):
                inputs = _load(catalog, node.inputs)
                if inputs is None:
                    name = dataset.qualified_name if hasattr(dataset, "qualified_name") else output
                    tables.append(TablePlan(name, reason="it was not built yet"))
                    continue
                expression = node.run(inputs)[output]
                if isinstance(dataset, MaterialisedDataset | MartDataset):
                    tables.append(_plan_table(dataset, expression, assume))
                elif isinstance(dataset, ViewDataset):
                    backend = dataset.connection
                    assume[dataset.qualified_name] = holdings.expected_by(
                        backend, expression, hash_logic(expression), assume
                    )
    return RunPlan(files, tuple(tables), causes, refusal)


def _plan_table(dataset: Any, expression: ir.Table, assume: dict[str, str]) -> TablePlan:
    changes, reason = dataset.plan(expression, assume)
    if isinstance(dataset, MaterialisedDataset):
        # What is above it sees it as the run will leave it.
        kept = f"planned_{len(assume)}"
        dataset.connection.raw_sql(f"CREATE OR REPLACE TEMP TABLE {kept} AS FROM expected_batches")
        assume[dataset.qualified_name] = f"SELECT batch_id, fingerprint FROM {kept}"
    return TablePlan(dataset.qualified_name, changes.stale, changes.gone, changes.total, reason)


def _load(catalog: CatalogProtocol[Any, Any], names: list[str]) -> dict[str, Any] | None:
    """The inputs of a node, or None where a table is not there yet."""
    if any(isinstance(catalog[name], WarehouseDataset) and not catalog[name].exists() for name in names):
        return None
    return {name: catalog.load(name) for name in names}


def _raw_fingerprints() -> str:
    """What `raw.bioreactor` will hold of each batch when the inspected files are taken in."""
    return (
        "SELECT b.batch_id, md5(string_agg(content_hash || ':' || rules_hash, ',' ORDER BY content_hash, rules_hash)) "
        f"AS fingerprint FROM {_INSPECTED} AS f, unnest(f.batch_ids) AS b (batch_id) WHERE f.reason IS NULL "
        "GROUP BY b.batch_id"
    )


def _differing_files(manifest: Any) -> tuple[dict[str, str], dict[str, str]]:
    backend = manifest.connection
    if not manifest.exists():
        rows = backend.raw_sql(f"SELECT path, 'new', batch_ids FROM {_INSPECTED} ORDER BY path").fetchall()
    else:
        rows = backend.raw_sql(
            f"""SELECT coalesce(n.path, o.path), CASE
                    WHEN n.path IS NULL THEN 'removed'
                    WHEN n.reason IS NOT NULL AND n.reason IS DISTINCT FROM o.reason THEN 'quarantined: ' || n.reason
                    WHEN o.path IS NULL THEN 'new'
                    WHEN n.content_hash IS DISTINCT FROM o.content_hash THEN 'changed'
                    WHEN n.rules_hash IS DISTINCT FROM o.rules_hash THEN 'read by other rules' END AS what,
                list_concat(coalesce(n.batch_ids, []), coalesce(o.batch_ids, []))
            FROM {_INSPECTED} AS n FULL JOIN (
                FROM raw.files WHERE status IN ('accepted', 'quarantined')) AS o USING (path)
            WHERE what IS NOT NULL ORDER BY 1"""
        ).fetchall()
    files = {path: what for path, what, _ in rows}
    causes: dict[str, str] = {}
    for path, what, batch_ids in rows:
        for batch in batch_ids or ():
            causes.setdefault(batch, f"{path} {what}")
    return files, causes
