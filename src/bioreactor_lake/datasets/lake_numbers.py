"""The lake in numbers, for who watches it: rows, batches, what is held or set aside, and how old it is."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import psycopg
from kedro.io import CatalogProtocol

from bioreactor_lake.datasets import MANIFEST, relation_catalog, warehouse
from bioreactor_lake.datasets.freshness import OVERVIEW, Newest, find_freshness, newest_of_marts, newest_of_warehouse
from bioreactor_lake.datasets.gate import find_holds
from bioreactor_lake.datasets.history_mart import find_published
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.lake.freshness import LAYERS, LayerLimits, read_clock
from bioreactor_lake.lake.runs import Run

logger = logging.getLogger(__name__)

Numbers = dict[str, Any]
"""`rows` and `batches` by table, `held` batches, `files` and `quarantined` files, and by layer when its `newest`
reading was taken and when it was last `up_to_date`, in seconds since 1970; each as far as it is known."""


def count_lake(catalog: CatalogProtocol[Any, Any] | None, run: Run) -> Numbers:
    """The numbers at the end of a run, while it has the warehouse. They are no reason for a run to fail.

    Args:
        catalog: The catalog of the run; None where it did not come so far.
        run: The run.
    """
    try:
        if catalog is None or (backend := warehouse.writable(catalog[MANIFEST].warehouse_config)) is None:
            return {}
        numbers = _count_warehouse(backend)
        newest = newest_of_warehouse(backend, catalog)
        if (mart := find_published(run)) is not None:
            published = _count_published(mart)
            numbers = {**numbers, **{key: {**numbers.get(key, {}), **published[key]} for key in published}}
            newest["marts"] = newest_of_marts(catalog[OVERVIEW])
            numbers["held"] = len(run.held)
        return {**numbers, "newest": _seconds(newest)}
    except Exception as error:
        logger.warning("The lake's numbers are not known after this run: %s: %s", type(error).__name__, error)
        return {}


def count_before_first_run(catalog: CatalogProtocol[Any, Any]) -> Numbers:
    """The numbers as the last run left them; no other process is waited for.

    Raises:
        LockedError: Another process holds the warehouse.
        LakeError: The warehouse cannot be read.
    """
    from kedro.framework.project import pipelines

    config = catalog[MANIFEST].warehouse_config
    if not Path(config["filepath"]).exists():
        return {}
    with warehouse.open_for_reading(config) as backend:
        numbers = _count_warehouse(backend) | {"held": len(find_holds(backend))}
    found = find_freshness(catalog, pipelines, dict.fromkeys(LAYERS, LayerLimits()), read_clock())
    numbers["newest"] = {one.layer: one.newest_reading.timestamp() for one in found if one.newest_reading is not None}
    numbers["up_to_date"] = {one.layer: one.last_run_at.timestamp() for one in found if one.last_run_at is not None}
    return numbers


def _count_warehouse(backend: Any) -> Numbers:
    if relation_catalog.find(backend, "raw", "files") is None:
        return {}
    held = backend.raw_sql(
        "SELECT name, sum(rows), count(*) FILTER (rows > 0) FROM lake_state.held GROUP BY name"
    ).fetchall()
    readings, rejects, batches, files, quarantined = backend.raw_sql(
        "SELECT coalesce(sum(rows_accepted) FILTER (status = 'accepted'), 0), "
        "coalesce(sum(rows_rejected) FILTER (status = 'accepted'), 0), "
        "(SELECT count(DISTINCT batch) FROM (SELECT unnest(batch_ids) AS batch FROM raw.files "
        "WHERE status = 'accepted')), "
        "count(*) FILTER (status = 'accepted'), count(*) FILTER (status = 'quarantined') FROM raw.files"
    ).fetchone()
    return {
        "rows": {
            "raw.bioreactor": int(readings + rejects),
            "staging.stg_bioreactor": int(readings),
            "staging.rejected_readings": int(rejects),
            **{name: int(rows) for name, rows, _ in held},
        },
        "batches": {"staging.stg_bioreactor": batches, **{name: count for name, _, count in held}},
        "files": files,
        "quarantined": quarantined,
    }


def _count_published(mart: MartDataset) -> Numbers:
    """Rows and batches of all marts of a database, and what is the newest in them."""

    def look(connection: psycopg.Connection[Any]) -> list[tuple[str, int, int]]:
        return connection.execute(
            "SELECT mart, sum(rows)::bigint, count(*) FILTER (WHERE rows > 0) FROM lake.held GROUP BY mart"
        ).fetchall()

    found = mart.impatient_database.attempt(look, what="Connecting", kept="")
    return {"rows": {name: rows for name, rows, _ in found}, "batches": {name: count for name, _, count in found}}


def _seconds(newest: dict[str, Newest | None]) -> dict[str, float]:
    return {layer: one.reading.timestamp() for layer, one in newest.items() if one is not None and one.reading}
