"""What the next run would do, found without doing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from bioreactor_lake.datasets import MANIFEST, holdings
from bioreactor_lake.datasets.known_logic import logic_for
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.datasets.tables import MaterialisedDataset, RawViewDataset, ViewDataset
from bioreactor_lake.errors import NothingToIngest
from bioreactor_lake.lake.runs import NOT_BUILT

if TYPE_CHECKING:
    from bioreactor_lake.datasets.landed_identity import Foreseen
    from bioreactor_lake.datasets.landing_zone import LandingZone

_RAW = "raw.bioreactor"
_INSPECTED = "temp.main.inspected_raw_files"


@dataclass(frozen=True)
class TablePlan:
    """What would happen to one table.

    Args:
        table: Schema and name.
        stale: Batches that would be written, in order.
        gone: Batches that would be deleted.
        total: Batches that the table will hold; None for a view, and where a table below is not there.
        reason: Why it would be written as a whole or, a view, defined anew; None where it would not.
        held: Batches of a mart that are left as they are.
    """

    table: str
    stale: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    total: int | None = None
    reason: str | None = None
    held: tuple[str, ...] = ()

    @property
    def up_to_date(self) -> bool:
        """Whether nothing would be written."""
        return not self.stale and not self.gone and self.reason is None


@dataclass(frozen=True)
class RunPlan:
    """What the next run would do.

    Args:
        files: Path to what became of it (new, changed, removed, read again, quarantined), for files that differ.
        tables: The tables and marts in the order of the run, and the views that would be defined anew.
        causes: For batches that would be written because of a file, the file.
        refusal: Why the run would stop before it writes anything; empty where it would not.
        landed: Landed files of which something is news. Batches of their raw files count as stale in all tables.
    """

    files: Mapping[str, str]
    tables: tuple[TablePlan, ...]
    causes: Mapping[str, str]
    refusal: str = ""
    landed: tuple[Foreseen, ...] = ()


def plan_run(catalog: CatalogProtocol[Any, Any], pipeline: Pipeline) -> RunPlan:
    """Compare what every table holds with what it would hold after a run.

    Files that changed are read, nothing is written.

    Args:
        catalog: The project's catalog.
        pipeline: All nodes.

    Raises:
        LakeError: There is no warehouse yet, or it cannot be read.
    """
    landed = _foresee_landed(catalog)
    (inspect,) = (node for node in pipeline.nodes if MANIFEST in node.outputs)
    inspect.run({name: catalog.load(name) for name in inspect.inputs})
    files, causes = _differing_files(catalog[MANIFEST])
    refusal = catalog[MANIFEST].why_refused(sum(what == "removed" for what in files.values()))
    for file in landed:
        for batch in file.batches:
            causes.setdefault(batch, f"landed file {file.path}: {file.what}")
    follow = {batch for file in landed for batch in file.batches}
    assume = {_RAW: holdings.raw_fingerprints(f"{_INSPECTED} WHERE reason IS NULL")}
    tables: list[TablePlan] = []
    for dataset, expression in expressions(catalog, pipeline):
        if isinstance(dataset, RawViewDataset):
            continue
        if expression is None:
            tables.append(TablePlan(dataset.qualified_name, reason=NOT_BUILT))
            continue
        plan = _with_landed(plan_table(dataset, expression, assume), follow)
        # A view costs nothing: it is worth a line where it makes the tables above it stale.
        if not isinstance(dataset, ViewDataset) or not plan.up_to_date:
            tables.append(plan)
    return RunPlan(files, tuple(tables), causes, refusal, tuple(landed))


def _foresee_landed(catalog: CatalogProtocol[Any, Any]) -> list[Foreseen]:
    from bioreactor_lake.pipelines.ingestion.nodes import ReadByProfile

    zone: LandingZone = catalog.load("landing_zone")
    return zone.foresee(catalog.load("profiles"), ReadByProfile())


def _with_landed(plan: TablePlan, follow: set[str]) -> TablePlan:
    """A table's plan with the batches whose raw files are still to be made."""
    if not follow or plan.total is None or plan.reason is not None:
        return plan
    stale = tuple(sorted({*plan.stale, *follow} - {*plan.held}))
    return replace(plan, stale=stale, total=None)


def expressions(catalog: CatalogProtocol[Any, Any], pipeline: Pipeline) -> Iterator[tuple[Any, ir.Table | None]]:
    """Every view, table and mart in the order of a run, with its expression; None where a table below is not there."""
    for node in pipeline.nodes:
        for output in node.outputs:
            dataset = catalog[output]
            if isinstance(dataset, ViewDataset | MaterialisedDataset | MartDataset):
                inputs = _load(catalog, node.inputs)
                yield dataset, None if inputs is None else node.run(inputs)[output]


def plan_table(
    dataset: Any,
    expression: ir.Table,
    assume: dict[str, str],
    *,
    glance: bool = False,
) -> TablePlan:
    """Compare what one table holds with what a run would make it hold.

    Args:
        dataset: The view, table or mart.
        expression: Its expression.
        assume: Relations below, by name, to a query for the fingerprints that a run would leave in them; the table's
            own is added for those above it.
        glance: As for `MartDataset.plan`.

    Raises:
        LakeError: The warehouse or Postgres cannot be read.
    """
    name = dataset.qualified_name
    if isinstance(dataset, MartDataset):
        found, reason = dataset.plan(expression, assume, glance=glance)
        changes = found.batches
        return TablePlan(name, changes.stale, changes.gone, changes.total, reason, found.held)
    if isinstance(dataset, ViewDataset):
        if not isinstance(dataset, RawViewDataset):
            backend = dataset.connection
            assume[name] = holdings.expected_by(backend, expression, logic_for(backend, name, expression), assume)
        return TablePlan(name, reason=dataset.plan(expression))
    changes, reason = dataset.plan(expression, assume)
    # What is above it sees it as the run will leave it.
    kept = f"planned_{len(assume)}"
    dataset.connection.raw_sql(f"CREATE OR REPLACE TEMP TABLE {kept} AS FROM expected_batches")
    assume[name] = f"SELECT batch_id, fingerprint FROM {kept}"
    return TablePlan(name, changes.stale, changes.gone, changes.total, reason)


def _load(catalog: CatalogProtocol[Any, Any], names: list[str]) -> dict[str, Any] | None:
    """The inputs of a node, or None where a table is not there yet."""
    if any(isinstance(catalog[name], WarehouseDataset) and not catalog[name].exists() for name in names):
        return None
    try:
        return {name: catalog.load(name) for name in names}
    except NothingToIngest:
        return None


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
