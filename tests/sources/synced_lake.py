"""A lake with sources of its own: a project in a folder, syncs and runs in this process."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from click.testing import CliRunner, Result
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from bioreactor_lake.cli.sync import sync
from bioreactor_lake.datasets import warehouse
from bioreactor_lake.lake.runs import Run, running

PROJECT = Path(__file__).parents[2]
READINGS = [("B-1", "ph", 7.0), ("B-2", "ph", 7.1)]


class SyncedLake:
    """A project with the given sources and credentials, and readings of the batches B-1 and B-2."""

    def __init__(self, folder: Path, sources: dict[str, Any], credentials: dict[str, Any]) -> None:
        self.folder, self.landing = folder, folder / "data/00_landing"
        self.warehouse = folder / "data/warehouse/bioreactor.duckdb"
        shutil.copytree(PROJECT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(PROJECT / name, folder)
        (folder / "conf/local").mkdir()
        (folder / "src").mkdir()
        self.configure(sources, credentials)
        raw = folder / "data/01_raw/bioreactor"
        raw.mkdir(parents=True)
        rows = [
            {"batch_id": batch, "equipment_id": "E", "ts": "2026-01-01T00:00:00Z", "tag": tag, "value": value}
            for batch, tag, value in READINGS
        ]
        pq.write_table(pa.Table.from_pylist(rows), raw / "readings.parquet")

    def configure(self, sources: dict[str, Any], credentials: dict[str, Any], attempts: int = 3) -> None:
        retries = {"attempts": attempts, "wait_seconds": 0.1}
        written = {"sources": sources, "retries": retries, "run": {"lock_timeout_seconds": 1}}
        (self.folder / "conf/local/parameters_test.yml").write_text(yaml.safe_dump(written, sort_keys=False))
        (self.folder / "conf/local/credentials.yml").write_text(yaml.safe_dump(credentials))

    @contextmanager
    def here(self) -> Iterator[None]:
        ours = {name: "" for name in os.environ if name.startswith("BIOREACTOR_LAKE_")}
        before = Path.cwd()
        os.chdir(self.folder)
        with mock.patch.dict(os.environ, ours):
            bootstrap_project(self.folder)
            try:
                yield
            finally:
                warehouse.close()
                os.chdir(before)
                bootstrap_project(PROJECT)

    def sync(self, *arguments: str) -> Result:
        with self.here():
            result = CliRunner().invoke(sync, [*arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def synced(self, *arguments: str) -> str:
        """What a sync says that is to succeed."""
        result = self.sync(*arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def run(self, *names: str, **parameters: Any) -> Run:
        with self.here(), running() as this_run:
            with KedroSession.create(
                self.folder, save_on_close=False, runtime_params={"checkpoints": False, **parameters}
            ) as session:
                session.run(pipeline_names=list(names or ("ingestion", "staging", "curated")))
            return this_run

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def results(self) -> list[tuple[Any, ...]]:
        """Batch, sample, tag, value or text of all results."""
        return self.query(
            "SELECT batch_id, sample_id, tag, coalesce(value_text, CAST(value AS VARCHAR)) "
            "FROM curated.fact_sample_result ORDER BY ALL"
        )

    def extracts(self, path: str) -> list[Path]:
        """The extracts of `source/table`, in order."""
        return sorted((self.landing / path).glob("extract-*.parquet"))

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.landing / "ledger.jsonl").read_text().splitlines()]

    def everything_written(self) -> dict[str, bytes]:
        """All files of the lake but its credentials."""
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in paths if path.name != "credentials.yml"
        }

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        names = ("raw.batch_sheets", "raw.sample_results", "curated.dim_batch", "curated.fact_sample_result")
        return {name: self.query(f"FROM {name} ORDER BY ALL") for name in names}
