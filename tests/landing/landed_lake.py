"""A lake with a landing zone: files land, runs happen in this process or as commands, tables are looked at."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from tests.commands import run_kedro

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.lake.runs import Run, running

PROJECT = Path(__file__).parents[2]
LONG = {
    "time": {"columns": "time"},
    "batch": {"column": "batch"},
    "equipment": [{"column": "unit"}, {"path": r"(?P<found>[^/]+)/[^/]*$"}, {"value": "E"}],
    "long": {"tag": "tag", "value": "value"},
}
"""A profile for what `rows` writes."""


def rows(*readings: tuple[Any, ...]) -> str:
    """A file of readings: batch, minute, tag, value."""
    lines = [f"2025-06-01T10:{minute:02}:00Z,{batch},{tag},{value}\n" for batch, minute, tag, value in readings]
    return "time,batch,tag,value\n" + "".join(lines)


class LandedLake:
    """A lake in a folder, with a profile `mine` of its own."""

    def __init__(self, folder: Path, profile: dict[str, Any] = LONG) -> None:
        self.folder = folder
        self.landing, self.raw = folder / "landing", folder / "raw"
        self.warehouse = folder / "warehouse" / "lake.duckdb"
        self.raw.mkdir(parents=True)
        self.conf = folder / "conf"
        shutil.copytree(PROJECT / "conf", self.conf)
        self.profile = profile

    @property
    def profile(self) -> dict[str, Any]:
        return self._profile

    @profile.setter
    def profile(self, profile: dict[str, Any]) -> None:
        self._profile = profile
        (self.conf / "base" / "profiles" / "mine.yml").write_text(yaml.safe_dump(profile))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BIOREACTOR_LAKE_RAW": str(self.raw),
            "BIOREACTOR_LAKE_WAREHOUSE": str(self.warehouse),
            "BIOREACTOR_LAKE_LANDING": str(self.landing),
            "BIOREACTOR_LAKE_REPORTS": str(self.folder / "reports"),
            "DO_NOT_TRACK": "1",
        }

    def put(self, path: str, content: str | bytes) -> Path:
        """Put a file into the landing zone by hand."""
        location = self.landing / path
        location.parent.mkdir(parents=True, exist_ok=True)
        location.write_bytes(content.encode() if isinstance(content, str) else content)
        return location

    def run(self, *names: str, **parameters: Any) -> Run:
        with self.configured(), running() as this_run:
            bootstrap_project(PROJECT)
            with KedroSession.create(
                PROJECT,
                conf_source=str(self.conf),
                save_on_close=False,
                runtime_params={"checkpoints": False, **parameters},
            ) as session:
                session.run(pipeline_names=list(names or ("ingestion", "staging")))
            return this_run

    @contextmanager
    def configured(self) -> Iterator[None]:
        with mock.patch.dict(os.environ, self.environment):
            try:
                yield
            finally:
                warehouse.close()

    def command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`kedro …`, in a process of its own, with the project's configuration."""
        return run_kedro(arguments, os.environ | self.environment | variables)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def files(self) -> dict[str, dict[str, Any]]:
        """`landing.files` by path, of the versions that count."""
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            cursor = connection.execute("FROM landing.files WHERE status NOT IN ('superseded', 'removed')")
            names = [column[0] for column in cursor.description or ()]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        assert len({one["path"] for one in found}) == len(found)
        return {one["path"]: one for one in found}

    def readings(self) -> list[tuple[Any, ...]]:
        """Batch, equipment, minute, tag and value of all readings, sorted."""
        return sorted(
            self.query(
                "SELECT batch_id, equipment_id, minute(ts), tag, coalesce(value_text, CAST(value AS VARCHAR)) "
                "FROM staging.stg_bioreactor"
            )
        )

    def raw_hashes(self) -> dict[str, str]:
        """The raw files that there are, with the hash of their bytes."""
        files = sorted(path for path in self.raw.rglob("*") if path.is_file())
        return {str(path.relative_to(self.raw)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.landing / "ledger.jsonl").read_text().splitlines()]
