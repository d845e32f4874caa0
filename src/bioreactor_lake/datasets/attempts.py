"""Tables that the last run could not write: kept outside of the transaction that was rolled back, until one succeeds.

A run that is killed or interrupted leaves no record; its tables are then simply out of date.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from bioreactor_lake.datasets import relation_catalog, warehouse
from bioreactor_lake.errors import find_lake_error
from bioreactor_lake.lake.runs import Run
from bioreactor_lake.sql import literal

logger = logging.getLogger(__name__)

_SCHEMA, _TABLE = "lake_state", "attempts"


@dataclass(frozen=True)
class Failure:
    """A write that failed.

    Args:
        run_id: The run.
        failed_at: When, UTC.
        error: What failed, in one sentence.
    """

    run_id: str
    failed_at: datetime
    error: str


def record_failures(datasets: Sequence[Any], run: Run, error: BaseException) -> None:
    """Keep that tables could not be written. Where the warehouse cannot keep it, it goes unrecorded and nothing fails.

    Errors that are no fault of a table are passed over: nothing to ingest, a command that cannot be carried out.

    Args:
        datasets: The tables and marts, as catalog datasets.
        run: The run.
        error: What ended it.
    """
    known = find_lake_error(error)
    if (known is not None and known.exit_code in (0, 2)) or is_interrupted(error):
        return
    sentence = explain(error)
    for dataset in datasets:
        if (backend := _backend(dataset)) is None:
            continue
        try:
            backend.raw_sql(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
            backend.raw_sql(
                f"CREATE TABLE IF NOT EXISTS {_SCHEMA}.{_TABLE} "
                "(name VARCHAR PRIMARY KEY, run_id VARCHAR, failed_at TIMESTAMP, error VARCHAR)"
            )
            values = ", ".join(map(literal, (dataset.qualified_name, run.run_id)))
            backend.raw_sql(
                f"INSERT OR REPLACE INTO {_SCHEMA}.{_TABLE} "
                f"VALUES ({values}, make_timestamp(epoch_us(now())), {literal(sentence)})"
            )
            relation_catalog.forget()
        except Exception as reason:
            logger.debug("The failure of %s was not recorded: %s", dataset.qualified_name, reason)


def forget_failure(dataset: Any) -> None:
    """Drop the record of a table or mart that was written after all."""
    backend = _backend(dataset)
    if backend is not None and dataset.qualified_name in find_failures(backend):
        backend.raw_sql(f"DELETE FROM {_SCHEMA}.{_TABLE} WHERE name = {literal(dataset.qualified_name)}")


def find_failures(backend: Any) -> dict[str, Failure]:
    """The tables and marts whose last write failed, by name."""
    if relation_catalog.find(backend, _SCHEMA, _TABLE) is None:
        return {}
    rows = backend.raw_sql(f"SELECT name, run_id, failed_at, error FROM {_SCHEMA}.{_TABLE}").fetchall()
    return {name: Failure(*rest) for name, *rest in rows}


def _backend(dataset: Any) -> Any:
    """The warehouse of a table or mart if it is open; to open it could wait for a lock, or fail once more."""
    config = getattr(dataset, "warehouse_config", None)
    return None if config is None else warehouse.writable(config)


def explain(error: BaseException) -> str:
    """What failed, in one sentence."""
    if (known := find_lake_error(error)) is not None:
        return known.what
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def is_interrupted(error: BaseException | None) -> bool:
    """Whether a signal ended the run: DuckDB makes errors of its own of what a signal handler raises."""
    while error is not None:
        if isinstance(error, duckdb.InterruptException) or str(error) == "Query interrupted":
            return True
        if not isinstance(error, Exception):
            return True
        error = error.__cause__ or error.__context__
    return False
