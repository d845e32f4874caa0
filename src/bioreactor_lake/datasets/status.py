"""How the lake stands: where each table is, and whether it holds what the manifest says that it should."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from bioreactor_lake.datasets import MANIFEST
from bioreactor_lake.datasets.attempts import Failure, find_failures
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.planning import TablePlan, expressions, plan_table
from bioreactor_lake.datasets.storage import Storage, find_storage
from bioreactor_lake.errors import LakeError

_NAMED = 5
FRESH, STALE, FAILED, NEVER_BUILT, UNREACHABLE = "fresh", "stale", "failed", "never built", "unreachable"


@dataclass(frozen=True)
class TableStatus:
    """How one table stands.

    Args:
        table: Schema and name.
        freshness: One of the words above; `failed` where the last run that tried to write it could not.
        storage: Where it lies; None if it is not there or cannot be reached.
        stale_batches: Batches that a run would write or delete; None where that is not known, and for a view.
        note: Why it is not fresh, as far as that is known.
    """

    table: str
    freshness: str
    storage: Storage | None = None
    stale_batches: int | None = None
    note: str = ""


def find_status(catalog: CatalogProtocol[Any, Any], pipeline: Pipeline) -> tuple[TableStatus, ...]:
    """How every table stands, in the order of a run, by the manifest as it is.

    The raw folder is not looked into, no row is counted, and nothing is written.

    Args:
        catalog: The project's catalog.
        pipeline: All nodes.

    Raises:
        LockedError: Another process held the warehouse for too long.
        LakeError: The warehouse cannot be read.
    """
    manifest = catalog[MANIFEST]
    failures: dict[str, Failure] = {}
    if Path(manifest.warehouse_config["filepath"]).exists():
        failures = find_failures(manifest.connection)
    name = manifest.qualified_name
    found = [_judge(name, find_storage(manifest), TablePlan(name), failures.get(name))]
    unreachable: dict[str, str] = {}
    assume: dict[str, str] = {}
    for dataset, expression in expressions(catalog, pipeline):
        name = dataset.qualified_name
        if not isinstance(dataset, MartDataset):
            plan = None if expression is None else plan_table(dataset, expression, assume)
            found.append(_judge(name, find_storage(dataset), plan, failures.get(name)))
            continue
        # One that does not answer is not waited for again.
        if dataset.place not in unreachable:
            try:
                storage = find_storage(dataset)
                built = expression is not None and storage is not None
                plan = plan_table(dataset, expression, assume, glance=True) if built else None
                found.append(_judge(name, storage, plan, failures.get(name)))
                continue
            except LakeError as error:
                unreachable[dataset.place] = error.what
        found.append(TableStatus(name, UNREACHABLE, note=unreachable[dataset.place]))
    return tuple(found)


def _judge(name: str, storage: Storage | None, plan: TablePlan | None, failure: Failure | None) -> TableStatus:
    stale = None
    if plan is not None and plan.total is not None:
        # Where rows are missing behind the lake's back, any batch may have lost them.
        stale = len(plan.stale) + len(plan.gone) or (plan.total if plan.reason else 0)
    if failure is not None:
        note = f"{failure.error} ({failure.failed_at:%Y-%m-%d %H:%M} UTC, run {failure.run_id})"
        return TableStatus(name, FAILED, storage, stale, note)
    if storage is None:
        return TableStatus(name, NEVER_BUILT, None, stale)
    if plan is None:
        return TableStatus(name, STALE, storage, note="a table below it is not there")
    notes = [plan.reason] if plan.reason else []
    if plan.held:
        notes.append(f"{len(plan.held):,} held: {', '.join(plan.held[:_NAMED])}{'…' if plan.held[_NAMED:] else ''}")
    return TableStatus(name, FRESH if plan.up_to_date else STALE, storage, stale, "; ".join(notes))
