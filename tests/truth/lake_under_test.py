"""The real pipelines on a folder of raw files, and what they left in every table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pandas as pd
import psycopg
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner

PROJECT = Path(__file__).parents[2]
LAYERS = ("ingestion", "staging", "curated")
MARTS = "marts"

DIM = "curated.dim_batch"
FACT = "curated.fact_bioreactor_batch_stats"
SERIES = "intermediate.int_bioreactor_downsample_5m"
OVERVIEW = "marts.mart_bioreactor_overview"
TIMELINE = "marts.mart_bioreactor_timeline"
REJECTS = "staging.rejected_readings"
STAGING = "staging.stg_bioreactor"

Row = dict[str, Any]


@dataclass
class Lake:
    """A raw folder, a warehouse of its own and, where marts are looked at, a database of its own."""

    raw: Path
    warehouse: Path
    postgres_url: str = "postgresql://nobody@127.0.0.1:1/not-asked-for"
    reading: Mapping[str, Any] = field(default_factory=dict)
    env: str | None = None
    spark_master: str = "local[2]"

    def run(self, *pipelines: str) -> Lake:
        """Run pipelines in this process, by default all layers of the warehouse."""
        environment = {
            "BIOREACTOR_LAKE_RAW": str(self.raw),
            "BIOREACTOR_LAKE_WAREHOUSE": str(self.warehouse),
            "BIOREACTOR_LAKE_POSTGRES_URL": self.postgres_url,
            "DO_NOT_TRACK": "1",
            "OPENLINEAGE_DISABLED": "true",
            "BIOREACTOR_LAKE_SPARK_MASTER": self.spark_master,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "BIOREACTOR_LAKE_SPARK_TABLES": str(self.warehouse.with_name("spark")),
        }
        bootstrap_project(PROJECT)
        with mock.patch.dict(os.environ, environment):
            # What hostile files say is compared as it is; what of it may be published is for other tests.
            parameters = {"checkpoints": False, **({"reading": dict(self.reading)} if self.reading else {})}
            with KedroSession.create(PROJECT, env=self.env, save_on_close=False, runtime_params=parameters) as session:
                session.run(pipeline_names=list(pipelines or LAYERS), runner=SequentialRunner())
        return self

    def query(self, sql: str) -> list[Row]:
        """Rows of the warehouse, which is opened for reading only."""
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            return _as_dicts(connection.execute(sql))

    def rows(self, table: str) -> list[Row]:
        """All rows of a table of the warehouse or of a mart, by columns."""
        if not table.startswith("marts."):
            return self.query(f"FROM {table}")
        with psycopg.connect(self.postgres_url, options="-c TimeZone=UTC") as connection:
            return _as_dicts(connection.execute(f"SELECT * FROM {table}"))

    def frame(self, table: str, key: Sequence[str]) -> pd.DataFrame:
        """All rows of a table in the order of a key, to compare with those of another moment or lake."""
        rows = self.rows(table)
        return pd.DataFrame(rows).sort_values(list(key), ignore_index=True) if rows else pd.DataFrame()

    def files(self) -> dict[str, Row]:
        """The manifest's rows of the files that are there, by path."""
        rows = self.query("FROM raw.files WHERE status NOT IN ('superseded', 'removed')")
        assert len({row["path"] for row in rows}) == len(rows)
        return {row["path"]: row for row in rows}


NewLake = Callable[..., Lake]


def _as_dicts(cursor: Any) -> list[Row]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
