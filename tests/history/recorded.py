"""What a lake keeps of its runs, read as somebody else would, without the project's code."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg.rows import dict_row
from tests.increments.lake import PROJECT, Lake, environment_of

Row = dict[str, Any]


def recorded(lake: Lake, table: str = "runs") -> list[Row]:
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        cursor = connection.execute(f"SELECT * FROM ops.{table} ORDER BY started_at")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def statuses(lake: Lake) -> list[str]:
    return [run["status"] for run in recorded(lake)]


def nodes(lake: Lake, run: Row) -> dict[str, Row]:
    return {node["node"]: node for node in recorded(lake, "node_runs") if node["run_id"] == run["run_id"]}


def published(lake: Lake) -> list[Row]:
    with psycopg.connect(lake.database, row_factory=dict_row) as connection:
        if connection.execute("SELECT to_regclass('marts.mart_run_history') AS it").fetchone() == {"it": None}:
            return []
        return connection.execute("SELECT * FROM marts.mart_run_history ORDER BY node_started_at").fetchall()


def published_runs(lake: Lake) -> list[str]:
    """Ids, oldest first."""
    return sorted({row["run_id"] for row in published(lake)})


def ids(lake: Lake) -> list[str]:
    return [run["run_id"] for run in recorded(lake)]


def waiting(lake: Lake) -> list[Path]:
    """Files of runs that the warehouse does not have."""
    return sorted(lake.warehouse.with_name("lake.runs").glob("*"))


def start(lake: Lake, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kedro", "run", *arguments]
    mine = os.environ | environment_of(lake) | {"DO_NOT_TRACK": "1", "COLUMNS": "200"}
    return subprocess.Popen(command, cwd=PROJECT, env=mine, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def held(lake: Lake) -> Iterator[int]:
    """A block in which another process holds the warehouse; gives its id."""
    script = f"import duckdb; c = duckdb.connect({str(lake.warehouse)!r}); print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield holder.pid
    finally:
        holder.communicate(b"\n")


def wait_until(lake: Lake, words: str) -> None:
    """Until a run under way is where its file says so."""
    for _ in range(1200):
        for path in waiting(lake):
            if words in path.read_text():
                return
        time.sleep(0.05)
    raise AssertionError(f"No run came to {words}")
