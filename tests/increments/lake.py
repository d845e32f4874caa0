"""A lake under test: raw files that come and go, runs in this process, and its tables beside those of a fresh build."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import duckdb
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from bioreactor_lake.datasets import warehouse

PROJECT = Path(__file__).parents[2]
KEYS = {
    "staging.stg_bioreactor": None,
    "intermediate.int_bioreactor_downsample_5m": None,
    "curated.dim_batch": None,
    "curated.fact_bioreactor_batch_stats": None,
}
MARTS = ("mart_bioreactor_overview", "mart_bioreactor_timeline")


class Lake:
    """A raw folder, a warehouse and a database of its own."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.server = folder, server
        self.raw = folder / "raw"
        self.raw.mkdir(parents=True, exist_ok=True)
        self.warehouse = folder / "warehouse" / "lake.duckdb"
        name = f"lake_{uuid4().hex[:10]}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        self.database = f"{server.rpartition('/')[0]}/{name}"

    def run(self, *pipelines: str, **parameters: object) -> None:
        with _environment(self):
            bootstrap_project(PROJECT)
            with KedroSession.create(project_path=PROJECT, runtime_params=parameters, save_on_close=False) as session:
                session.run(pipeline_names=list(pipelines) or None)

    def put(self, path: str, rows: list[tuple[str, str, str, datetime, float | None]]) -> Path:
        """Write a raw file; its times lie in the past, so that nothing but its content says that it changed."""
        names = ("batch_id", "equipment_id", "tag", "ts", "value")
        table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
        target = self.raw / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, target)
        return target

    def open_warehouse(self) -> duckdb.DuckDBPyConnection:
        """As somebody else would, without the project's code."""
        return duckdb.connect(self.warehouse, read_only=True)

    def tables(self) -> dict[str, pd.DataFrame]:
        found = {}
        with self.open_warehouse() as connection:
            for table in KEYS:
                found[table] = connection.execute(f"SELECT * FROM {table} ORDER BY ALL").df()
        with psycopg.connect(self.database) as connection:
            for mart in MARTS:
                cursor = connection.execute(f"SELECT * FROM marts.{mart} ORDER BY 1, 2, 3, 4")
                found[mart] = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])
        return found

    def fresh(self) -> Lake:
        """A lake over the same raw files that was never run."""
        other = Lake(self.folder.with_name(f"fresh_{uuid4().hex[:8]}"), self.server)
        shutil.rmtree(other.raw)
        other.raw = self.raw
        return other

    def assert_equals_fresh_build(self) -> None:
        other = self.fresh()
        other.run()
        expected, found = other.tables(), self.tables()
        other.drop()
        for table, rows in expected.items():
            pd.testing.assert_frame_equal(found[table], rows, rtol=1e-9, obj=table)

    def drop(self) -> None:
        name = self.database.rpartition("/")[2]
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def _environment(lake: Lake):
    mine = {
        "BIOREACTOR_LAKE_RAW": str(lake.raw),
        "BIOREACTOR_LAKE_WAREHOUSE": str(lake.warehouse),
        "BIOREACTOR_LAKE_POSTGRES_URL": lake.database,
    }
    before = {name: os.environ.get(name) for name in mine}
    os.environ |= mine
    try:
        yield
    finally:
        warehouse.close()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def readings(batch: str, seed: int, count: int = 6) -> list[tuple[str, str, str, datetime, float | None]]:
    start = datetime(2026, 1, 1) + timedelta(hours=seed)
    return [
        (batch, f"BR-{seed % 3}", ("ph", "do", "temperature")[i % 3], start + timedelta(minutes=3 * i), float(seed * i))
        for i in range(count)
    ]
