"""How fresh each layer is: its newest reading, and the last run that brought it up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from bioreactor_lake.datasets import MANIFEST, history, relation_catalog, warehouse
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.freshness import FRESH, LAYERS, NEVER_BUILT, STALE, TOO_OLD, UNREACHABLE, LayerLimits
from bioreactor_lake.lake.history import COMPLETED, NOTHING_TO_DO
from bioreactor_lake.sql import literal, quote

_WORST = (UNREACHABLE, TOO_OLD, STALE, FRESH)
_STAGED, _BATCHES = "stg_bioreactor", "dim_batch"
OVERVIEW = "mart_bioreactor_overview"
"""The mart that says how new the marts are."""


@dataclass(frozen=True)
class LayerFreshness:
    """How fresh one layer is.

    Args:
        layer: The layer.
        verdict: The worse of the next two, or `never built`.
        data: What its newest reading makes of it; no reading is older than any.
        run: What the last run makes of it; no run is likewise.
        newest_reading: When the newest reading was taken, UTC; None where there is none.
        newest_batch_start: When the batch that started last did, UTC; None where the layer knows no batches.
        last_run_at: When a run last brought the whole layer up to date, UTC.
        last_run_id: That run.
        note: What is worth saying besides.
    """

    layer: str
    verdict: str
    data: str
    run: str
    newest_reading: datetime | None = None
    newest_batch_start: datetime | None = None
    last_run_at: datetime | None = None
    last_run_id: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Newest:
    """The newest of a layer that is there.

    Args:
        reading: When its newest reading was taken, UTC.
        batch_start: When the batch that started last did, UTC.
    """

    reading: datetime | None
    batch_start: datetime | None = None


def find_freshness(
    catalog: CatalogProtocol[Any, Any],
    pipelines: Mapping[str, Pipeline],
    limits: Mapping[str, LayerLimits],
    now: datetime,
) -> tuple[LayerFreshness, ...]:
    """How fresh layers are, in their order. Nothing is waited for, and nothing written.

    Args:
        catalog: The project's catalog.
        pipelines: The project's pipelines.
        limits: The layers to look at, and how old each may be.
        now: The time that ages are counted up to.

    Raises:
        LockedError: Another process holds the warehouse.
        LakeError: The warehouse cannot be read.
    """
    found: dict[str, Newest | None] = {}
    runs: dict[str, tuple[str, datetime]] = {}
    config = catalog[MANIFEST].warehouse_config
    if Path(config["filepath"]).exists():
        with warehouse.open_for_reading(config) as backend:
            found = newest_of_warehouse(backend, catalog)
            runs = _last_runs(backend, pipelines)
    unreachable = ""
    if "marts" in limits:
        try:
            found["marts"] = newest_of_marts(catalog[OVERVIEW])
        except LakeError as error:
            unreachable = error.what
    return tuple(
        _judge(layer, limit, found.get(layer), runs.get(layer), unreachable if layer == "marts" else "", now)
        for layer, limit in limits.items()
    )


def worst(verdicts: Sequence[str]) -> str:
    """The worst of some verdicts; one that cannot be given is worse than any."""
    return next((verdict for verdict in _WORST if verdict in verdicts), FRESH)


def _judge(
    layer: str,
    limits: LayerLimits,
    newest: Newest | None,
    last: tuple[str, datetime] | None,
    unreachable: str,
    now: datetime,
) -> LayerFreshness:
    reading, start = (newest.reading, newest.batch_start) if newest is not None else (None, None)
    run_id, run_at = last or (None, None)
    data = UNREACHABLE if unreachable else limits.data.judge(reading, now)
    run = limits.run.judge(run_at, now)
    if unreachable:
        note = unreachable
    elif newest is None:
        note = f"build it with: kedro run --pipeline {LAYERS[layer]}"
    elif run_at is None:
        note = "no run is known to have brought all of it up to date"
    elif reading is not None and reading > now:
        note = f"its newest reading is in the future, {reading:%Y-%m-%d %H:%M} UTC: a clock is wrong"
    else:
        note = ""
    verdict = NEVER_BUILT if newest is None and not unreachable else worst((data, run))
    return LayerFreshness(layer, verdict, data, run, reading, start, run_at, run_id, note)


def newest_of_warehouse(backend: Any, catalog: CatalogProtocol[Any, Any]) -> dict[str, Newest | None]:
    """The newest of each layer of the warehouse that is there, by its tables and without a look at raw files."""
    found: dict[str, Newest | None] = {}
    start = None
    if _is_there(backend, batches := catalog[_BATCHES].qualified_name):
        end, start = backend.raw_sql(f"SELECT max(batch_end), max(batch_start) FROM {batches}").fetchone()
        found["curated"] = Newest(_in_utc(end), _in_utc(start))
    if _is_there(backend, manifest := catalog[MANIFEST].qualified_name):
        (reading,) = backend.raw_sql(f"SELECT max(ts_max) FROM {manifest} WHERE status = 'accepted'").fetchone()
        found["raw"] = Newest(_in_utc(reading))
        if _is_there(backend, catalog[_STAGED].qualified_name):
            # Staging is a view of all that the manifest accepts.
            found["staging"] = Newest(_in_utc(reading))
    return found


def newest_of_marts(mart: MartDataset) -> Newest | None:
    """The newest of the marts, by the overview; None where it is not there.

    Raises:
        LakeError: Postgres cannot be reached.
    """
    database = mart.impatient_database
    if not database.is_made:
        return None
    name = ".".join(map(quote, mart.qualified_name.split(".")))

    def look(connection: psycopg.Connection[Any]) -> Newest | None:
        if connection.execute("SELECT to_regclass(%s)", [name]).fetchone() == (None,):
            return None
        end, start = (
            connection.execute(f"SELECT max(batch_end), max(batch_start) FROM {name}").fetchone() or (None,) * 2
        )
        return Newest(end, start)

    return database.attempt(look, what="Connecting", kept="")


def _last_runs(backend: Any, pipelines: Mapping[str, Pipeline]) -> dict[str, tuple[str, datetime]]:
    """By layer the last run in which all of its nodes succeeded, and when it was done with them."""
    found = {}
    for layer, pipeline in LAYERS.items() if history.is_there(backend) else ():
        names = [node.name for node in pipelines[pipeline].nodes]
        row = backend.raw_sql(
            "SELECT run_id, max(n.ended_at) FROM ops.node_runs AS n JOIN ops.runs AS r USING (run_id) "
            f"WHERE n.node IN ({', '.join(map(literal, names))}) AND n.error IS NULL "
            # A run for some batches leaves the others as they were.
            f"AND n.status IN ('{COMPLETED}', '{NOTHING_TO_DO}') AND (r.asked ->> 'batches') IS NULL "
            f"GROUP BY run_id HAVING count(DISTINCT n.node) = {len(names)} ORDER BY 2 DESC LIMIT 1"
        ).fetchone()
        if row is not None:
            found[layer] = (row[0], row[1].replace(tzinfo=UTC))
    return found


def _is_there(backend: Any, qualified: str) -> bool:
    schema, _, name = qualified.partition(".")
    return bool(relation_catalog.columns_of(backend, schema, name))


def _in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
