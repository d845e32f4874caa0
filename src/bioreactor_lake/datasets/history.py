"""The history of runs in the warehouse: `ops.runs` and `ops.node_runs`, to which rows are only ever added.

A run is added once, when it has ended, in one transaction with its nodes; until then, and where the warehouse cannot
take it, it is kept beside it (`run_journal`), and the next run that can write adds it.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bioreactor_lake.datasets import relation_catalog, warehouse
from bioreactor_lake.datasets.json_rows import query_rows
from bioreactor_lake.datasets.run_journal import RunJournal, find_leftovers, journals_of
from bioreactor_lake.lake.history import NodeRun, RunRecord
from bioreactor_lake.sql import literal, quote

logger = logging.getLogger(__name__)

RUNS: dict[str, tuple[str, str]] = {
    "run_id": ("VARCHAR", "The run, a UUIDv7, which sorts by start"),
    "started_at": ("TIMESTAMP", "Start, UTC"),
    "ended_at": ("TIMESTAMP", "End, UTC; of a killed run when it was last heard of"),
    "status": ("VARCHAR", "completed, held, nothing_to_do, failed, interrupted or killed"),
    "error": ("VARCHAR", "What ended it, in one sentence; null where nothing did"),
    "asked": ("JSON", "What was asked for: pipelines, nodes, tags, batches, parameters, environment"),
    "rows": ("BIGINT", "Rows that were written into tables and marts"),
    "batches": ("BIGINT", "Batches of the table or mart of which most were written or deleted"),
    "bytes": ("BIGINT", "Size of the raw files that its nodes read, counted for each node that did"),
    "versions": ("JSON", "Versions of the project, its commit, Python and libraries"),
    "parameters": ("JSON", "All parameters that were in force, without secrets"),
    "host": ("VARCHAR", "Machine"),
    "user_name": ("VARCHAR", "Account"),
    "started_by": ("VARCHAR", "The scheduler's task, or the account where none is known"),
    "recorded_at": ("TIMESTAMP", "When the row was added, UTC"),
}
NODE_RUNS: dict[str, tuple[str, str]] = {
    "run_id": ("VARCHAR", "The run, see ops.runs"),
    "node": ("VARCHAR", "Node"),
    "pipeline": ("VARCHAR", "The pipeline that the node belongs to"),
    "table_name": ("VARCHAR", "What it writes"),
    "started_at": ("TIMESTAMP", "When its first input was loaded, UTC"),
    "ended_at": ("TIMESTAMP", "When its last output was saved, or it failed, UTC"),
    "status": ("VARCHAR", "As of a run"),
    "rows": ("BIGINT", "Rows that were written; null for a view"),
    "batches": ("BIGINT", "Batches that were written or deleted; null where the table knows none"),
    "bytes": ("BIGINT", "Size of the raw files that it read; null where it reads none"),
    "reason": ("VARCHAR", "Why a table was written as a whole; null where it was not"),
    "error": ("VARCHAR", "What ended it, in one sentence; null where nothing did"),
}
_TABLES = {
    "runs": (RUNS, "One row per run that has ended; rows are only added"),
    "node_runs": (NODE_RUNS, "One row per run and node that began; rows are only added"),
}


class History:
    """Keeps one run.

    Args:
        config: The warehouse.
        record: The run, as it is now.
    """

    def __init__(self, config: warehouse.WarehouseConfig, record: RunRecord) -> None:
        self.record = record
        self._config = config
        self._folder = journals_of(Path(config["filepath"]))
        self._journal: RunJournal | None = None
        self.keep()

    def keep(self) -> None:
        """Keep what is known of the run by now, beside the warehouse."""
        try:
            if self._journal is None:
                self._journal = RunJournal(self._folder, self.record)
            else:
                self._journal.keep(self.record)
        except OSError as error:
            logger.debug("The run is not kept in %s: %s", self._folder, error)

    def end(self) -> list[RunRecord]:
        """Add the run, and those before it that the warehouse does not have yet, if it is open for writing.

        Returns:
            Those before it.
        """
        self.keep()
        backend = warehouse.writable(self._config)
        earlier = self._add_earlier(backend) if backend is not None else []
        added = backend is not None and _try_to_add(backend, self.record)
        if self._journal is not None:
            self._journal.close(delete=added)
        elif not added:
            logger.warning("This run is in no history: %s cannot be written.", self._folder)
        return earlier

    def forget(self) -> None:
        """Keep nothing of it: it was none."""
        if self._journal is not None:
            self._journal.close(delete=True)

    def _add_earlier(self, backend: Any) -> list[RunRecord]:
        added = []
        for leftover in find_leftovers(self._folder):
            if leftover.is_mine:
                if is_added := _try_to_add(backend, leftover.record):
                    added.append(leftover.record)
                leftover.close(delete=is_added)
        return added


def add(backend: Any, record: RunRecord) -> None:
    """Add a run that has ended, if the warehouse does not have it yet.

    Raises:
        duckdb.Error: It could not be done, and nothing was.
    """
    with warehouse.transaction(backend):
        ensure(backend)
        # A process may have been killed between adding a run and deleting its file.
        if not backend.raw_sql(f"SELECT 1 FROM ops.runs WHERE run_id = {literal(record.run_id)}").fetchone():
            _insert(backend, "runs", [_row(record)])
            _insert(backend, "node_runs", _node_rows(record))


def _try_to_add(backend: Any, record: RunRecord) -> bool:
    try:
        add(backend, record)
    except Exception as error:
        logger.debug("The warehouse did not take run %s into its history: %s", record.run_id, error)
        return False
    return True


def read(backend: Any, condition: str) -> list[RunRecord]:
    """Runs with their nodes.

    Args:
        backend: The warehouse, which has a history.
        condition: Of which runs and in which order, as SQL on `ops.runs`.
    """
    records = {row["run_id"]: _record(row) for row in _select(backend, "runs", condition)}
    among = f"WHERE run_id IN ({', '.join(map(literal, records))}) ORDER BY started_at" if records else "LIMIT 0"
    for row in _select(backend, "node_runs", among):
        records[row["run_id"]].nodes.append(_node(row))
    return list(records.values())


def is_there(backend: Any) -> bool:
    """Whether the warehouse has a history."""
    return bool(relation_catalog.columns_of(backend, "ops", "runs"))


def ensure(backend: Any) -> None:
    """Create the tables of the history if they are not there."""
    if all(relation_catalog.columns_of(backend, "ops", name) for name in _TABLES):
        return
    backend.raw_sql("CREATE SCHEMA IF NOT EXISTS ops")
    for name, (columns, description) in _TABLES.items():
        defined = ", ".join(f"{quote(column)} {kind}" for column, (kind, _) in columns.items())
        backend.raw_sql(f"CREATE TABLE IF NOT EXISTS ops.{name} ({defined})")
        backend.raw_sql(f"COMMENT ON TABLE ops.{name} IS {literal(description)}")
        for column, (_, text) in columns.items():
            backend.raw_sql(f"COMMENT ON COLUMN ops.{name}.{quote(column)} IS {literal(text)}")
    relation_catalog.forget()


def _insert(backend: Any, table: str, rows: list[dict[str, Any]]) -> None:
    columns = {name: kind for name, (kind, _) in _TABLES[table][0].items() if name != "recorded_at"}
    listed = ", ".join(map(quote, columns))
    added, now = ("", "") if table != "runs" else (", recorded_at", ", make_timestamp(epoch_us(now()))")
    backend.raw_sql(
        f"INSERT INTO ops.{table} ({listed}{added}) SELECT {listed}{now} FROM ({query_rows(rows, columns)})"
    )


def _row(record: RunRecord) -> dict[str, Any]:
    return {
        **{name: getattr(record, name) for name in ("run_id", "status", "error", "rows", "batches", "bytes", "host")},
        **{name: getattr(record, name) for name in ("asked", "versions", "parameters")},
        "started_at": _naive(record.started_at),
        "ended_at": _naive(record.ended_at),
        "user_name": record.user,
        "started_by": record.started_by,
    }


def _node_rows(record: RunRecord) -> list[dict[str, Any]]:
    names = ("node", "pipeline", "status", "rows", "batches", "bytes", "error")
    return [
        {
            **{name: getattr(node, name) for name in names},
            "run_id": record.run_id,
            "table_name": node.table,
            "started_at": _naive(node.started_at),
            "ended_at": _naive(node.ended_at),
            "reason": node.reason or None,
        }
        for node in record.nodes
    ]


def _naive(moment: datetime | None) -> datetime | None:
    """In UTC, as DuckDB's plain timestamps are."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _select(backend: Any, table: str, condition: str) -> list[dict[str, Any]]:
    columns, _ = _TABLES[table]
    names = ", ".join(map(quote, columns))
    rows = backend.raw_sql(f"SELECT {names} FROM ops.{table} {condition}").fetchall()
    return [{name: _value(value, columns[name][0]) for name, value in zip(columns, row, strict=True)} for row in rows]


def _value(value: Any, kind: str) -> Any:
    if kind == "JSON":
        return json.loads(value) if value else {}
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _record(row: dict[str, Any]) -> RunRecord:
    names = (
        "run_id", "started_at", "ended_at", "status", "error", "asked", "versions", "parameters", "host", "started_by",
    )  # fmt: skip
    return RunRecord(**{name: row[name] for name in names}, user=row["user_name"])


def _node(row: dict[str, Any]) -> NodeRun:
    names = ("node", "pipeline", "started_at", "ended_at", "status", "rows", "batches", "bytes", "error")
    return NodeRun(**{name: row[name] for name in names}, table=row["table_name"], reason=row["reason"] or "")
