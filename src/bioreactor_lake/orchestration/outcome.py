"""What became of a run, as the warehouse keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb


@dataclass
class Outcome:
    """What the newest run did, and what the suites say of the tables as they are now.

    Args:
        run_id: The run; empty if none is known.
        nodes: By node: status, rows, batches and reason.
        checked: Tables whose suite was asked.
        failing: By table and expectation: severity, how many batches fail it, and what fails.
    """

    run_id: str = ""
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)
    failing: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


def read_outcome(warehouse: Path, since: datetime) -> Outcome:
    """Read the outcome of the newest run that began after a moment.

    Args:
        warehouse: The DuckDB file, which no process writes at the time.
        since: The moment.

    Raises:
        duckdb.Error: The warehouse cannot be opened.
    """
    found = Outcome()
    if not warehouse.exists():
        return found
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        there = {
            f"{schema}.{name}"
            for schema, name in connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
        }
        if "ops.runs" in there:
            newest = connection.execute(
                "SELECT run_id FROM ops.runs WHERE started_at >= $1 ORDER BY started_at DESC LIMIT 1",
                [since.astimezone(UTC).replace(tzinfo=None)],
            ).fetchone()
            found.run_id = newest[0] if newest else ""
            for node, *facts in connection.execute(
                "SELECT node, status, rows, batches, reason FROM ops.node_runs WHERE run_id = $1", [found.run_id]
            ).fetchall():
                named = zip(("status", "rows", "batches", "reason"), facts, strict=True)
                found.nodes[node] = {name: fact for name, fact in named if fact is not None}
        if "quality.failing" in there:
            found.checked = {
                table for (table,) in connection.execute("SELECT DISTINCT table_name FROM quality.checked").fetchall()
            }
            for table, expectation, severity, batches, sentence in connection.execute(
                "SELECT table_name, expectation, max(severity), count(*), min(sentence) "
                "FROM quality.failing GROUP BY 1, 2"
            ).fetchall():
                found.failing[table, expectation] = {"severity": severity, "failing": batches, "sentence": sentence}
    return found
