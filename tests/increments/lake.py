"""A lake under test: raw files that come and go, runs in this process, and its tables beside those of a fresh build."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from tests.commands import PROCESSES, PROJECT, run_kedro
from tests.increments.variants import Node, in_place

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.gate import Hold
from bioreactor_lake.datasets.releases import release_batches
from bioreactor_lake.lake.runs import Run, running

# What the manifest says of files that are there; when it was first said depends on the way.
MANIFEST = (
    "SELECT path, content_hash, schema_id, rules_hash, batch_ids, rows_accepted, rows_rejected, ts_min, ts_max, "
    "status, reason FROM raw.files WHERE status IN ('accepted', 'quarantined')"
)
TABLES = {
    name: f"SELECT * FROM {name}"
    for name in (
        "raw.bioreactor",
        "staging.stg_bioreactor",
        "staging.rejected_readings",
        "intermediate.int_bioreactor_downsample_5m",
        "curated.dim_batch",
        "curated.fact_bioreactor_batch_stats",
    )
}
BUILDERS = {"mart_bioreactor_overview": "build_overview", "mart_bioreactor_timeline": "build_timeline"}
MARTS = tuple(BUILDERS)


class Lake:
    """A raw folder, a warehouse and a database of its own; `logic` replaces nodes, `reading` adds to the rules."""

    def __init__(self, folder: Path, server: str, database: str | None = None) -> None:
        self.folder, self.server = folder, server
        self.raw = folder / "raw"
        self.raw.mkdir(parents=True, exist_ok=True)
        self.warehouse = folder / "warehouse" / "lake.duckdb"
        self.logic: dict[str, Node] = {}
        self.reading: dict[str, Any] = {}
        self.checkpoints: bool | None = False  # what is made up for a test need not be physical
        self.suites: dict[str, dict[str, Any]] | None = None  # by table, in place of the project's
        self.fresh_state: object = None  # what the last fresh build was made of, and its tables
        self.fresh_tables: dict[str, pd.DataFrame] = {}
        self.fresh_peaks: dict[str, dict[str, float]] = {}
        name = database or f"lake_{uuid4().hex[:10]}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        self.database = f"{server.rpartition('/')[0]}/{name}"

    def run(self, *names: str, **parameters: object) -> Run:
        if self.checkpoints is not None:
            parameters = {"checkpoints": self.checkpoints, **parameters}
        if self.reading:
            parameters = {"reading": self.reading, **parameters}
        with environment(self), in_place(self.logic), running() as this_run:
            bootstrap_project(PROJECT)
            configuration = {"conf_source": str(self._configuration())} if self.suites is not None else {}
            with KedroSession.create(
                project_path=PROJECT, runtime_params=parameters, save_on_close=False, **configuration
            ) as session:
                session.run(pipeline_names=list(names) or None)
            return this_run

    def _configuration(self) -> Path:
        """The project's configuration with the lake's own suites."""
        folder = self.folder / "conf"
        if not folder.exists():
            shutil.copytree(PROJECT / "conf", folder)
        shutil.rmtree(folder / "base" / "suites")
        (folder / "base" / "suites").mkdir()
        for table, expectations in (self.suites or {}).items():
            (folder / "base" / "suites" / f"{table}.json").write_text(json.dumps({"expectations": expectations}))
        return folder

    def run_batches(self, *batches: str, pipelines: tuple[str, ...] = (), **parameters: object) -> Run:
        with running() as this_run:
            this_run.batches = batches
            self.run(*pipelines, **parameters)
            return this_run

    def run_command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`kedro`, in a process of its own."""
        mine = os.environ | environment_of(self) | {"DO_NOT_TRACK": "1"} | variables
        if arguments[0] == "run" and self.checkpoints is False and "--params" not in arguments:
            arguments = (*arguments, "--params", "checkpoints=false")
        return run_kedro(arguments, mine)

    def count_statements(self, **parameters: object) -> int:
        """Run in a process of its own; the number of its statements."""
        counted = self.folder / "statements"
        process = PROCESSES.Process(target=_run_until_killed, args=(self, None, parameters, counted), daemon=True)
        process.start()
        process.join(120)
        assert process.exitcode == 0
        return int(counted.read_text())

    def run_until_killed(self, statement: int, **parameters: object) -> int | None:
        """Run in a process that kills itself before one of its statements, if it has so many; its exit code."""
        process = PROCESSES.Process(target=_run_until_killed, args=(self, statement, parameters), daemon=True)
        process.start()
        process.join(120)
        return process.exitcode

    def put(
        self,
        path: str,
        rows: list[tuple[str, str, str, datetime, float | None]],
        form: Callable[[pa.Table], pa.Table] = lambda table: table,
    ) -> Path:
        """Write a raw file, its table in another form than the plain one where that is given."""
        names = ("batch_id", "equipment_id", "tag", "ts", "value")
        table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
        target = self.raw / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(form(table), target)
        return target

    def open_warehouse(self) -> duckdb.DuckDBPyConnection:
        """As somebody else would, without the project's code."""
        return duckdb.connect(self.warehouse, read_only=True)

    def tables(self) -> dict[str, pd.DataFrame]:
        found = {}
        with self.open_warehouse() as connection:
            for name, query in {**TABLES, "raw.files": MANIFEST}.items():
                found[name] = connection.execute(f"{query} ORDER BY ALL").df()
        return found | self.marts()

    def fresh(self) -> Lake:
        """A lake over the same raw files that was never run."""
        # Under the same names each time, so that its configuration is read once.
        name = f"fresh_{self.database.rpartition('/')[2]}"
        other = Lake(self.folder.with_name(name), self.server, name)
        shutil.rmtree(other.raw)
        other.raw, other.logic, other.reading = self.raw, self.logic, self.reading
        other.checkpoints = self.checkpoints if self.suites is None else False
        return other

    def build_fresh(self) -> None:
        """Make a full build of the raw files as they are, unless the last one is that."""
        if (state := (self.content(), dict(self.logic), self.reading)) != self.fresh_state:
            other = self.fresh()
            try:
                other.run()
                self.fresh_state, self.fresh_tables, self.fresh_peaks = state, other.tables(), other.peaks()
            finally:
                other.drop()

    def peaks(self) -> dict[str, dict[str, float]]:
        """The largest value of each batch in tables that have one; NaN is the largest of all."""
        found = {}
        with self.open_warehouse() as warehouse, psycopg.connect(self.database) as marts:
            for connection, table, column in (
                (warehouse, "staging.stg_bioreactor", "value"),
                (warehouse, "curated.fact_bioreactor_batch_stats", "max_value"),
                (marts, "marts.mart_bioreactor_overview", "avg_value"),
            ):
                query = f"SELECT batch_id, max({column}) FROM {table} WHERE {column} IS NOT NULL GROUP BY 1"
                found[table] = dict(connection.execute(query).fetchall())
        return found

    def content(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.raw.rglob("*.parquet")}

    def marts(self) -> dict[str, pd.DataFrame]:
        """The marts that are there."""
        found = {}
        with psycopg.connect(self.database) as connection:
            for mart in MARTS:
                if connection.execute("SELECT to_regclass(%s)", [f"marts.{mart}"]).fetchone() != (None,):
                    cursor = connection.execute(f"SELECT * FROM marts.{mart} ORDER BY 1, 2, 3, 4")
                    found[mart] = pd.DataFrame(
                        cursor.fetchall(), columns=[column.name for column in cursor.description]
                    )
        return found

    def assert_equals_fresh_build(
        self,
        held: Collection[str] | Mapping[str, Collection[str]] = (),
        before: dict[str, pd.DataFrame] | None = None,
    ) -> None:
        """Every table is what a fresh build makes; of held batches, marts have what they had before.

        A mart with other logic than the project's may be computed over several batches, of which a fresh build holds
        none: it is passed over while a batch is held.

        Args:
            held: The held batches, of all marts or by mart.
            before: What the marts had before.
        """
        self.build_fresh()
        found = self.tables()
        for table, rows in self.fresh_tables.items():
            mine = found[table]
            left = held[table] if isinstance(held, Mapping) and table in MARTS else held
            if table in MARTS and left:
                if f"marts.{BUILDERS[table]}" in self.logic:
                    continue
                if before is not None and table in before:
                    names = [name for name in rows.columns if name in before[table]]
                    ours, theirs = (
                        untyped(one[one.batch_id.isin(left)][names].reset_index(drop=True))
                        for one in (mine, before[table])
                    )
                    pd.testing.assert_frame_equal(ours, theirs, obj=f"held batches of {table}")
                mine, rows = (untyped(one[~one.batch_id.isin(left)].reset_index(drop=True)) for one in (mine, rows))
            # Postgres appends a column that comes back; held rows have nothing in a new one.
            pd.testing.assert_frame_equal(mine, rows, rtol=1e-9, obj=table, check_like=True, check_dtype=not held)

    def release(self, *batches: str) -> dict[str, tuple[Hold, ...]]:
        """As the command does, with the nodes that are in place."""
        parameters = {"reading": self.reading} if self.reading else {}
        with environment(self), in_place(self.logic), running():
            bootstrap_project(PROJECT)
            with KedroSession.create(project_path=PROJECT, runtime_params=parameters, save_on_close=False) as session:
                catalog = session.load_context().catalog
                return release_batches(catalog, pipelines["__default__"], batches, "seen")

    def drop(self) -> None:
        name = self.database.rpartition("/")[2]
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        shutil.rmtree(self.folder, ignore_errors=True)


def _run_until_killed(
    lake: Lake, statement: int | None, parameters: dict[str, object], counted_in: Path | None = None
) -> None:
    begun = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal begun
            if begun == statement:
                os.kill(os.getpid(), signal.SIGKILL)
            begun += 1
            return function(*arguments, **options)

        return call

    for owner, names in (
        (Backend, ["raw_sql"]),
        (psycopg.Connection, ["execute", "commit"]),
        (psycopg.Copy, ["write"]),
    ):
        for name in names:
            setattr(owner, name, counted(getattr(owner, name)))
    try:
        lake.run(**parameters)
    except Exception as error:
        sys.exit(1 if "Next:" in str(error) else 2)
    finally:
        if counted_in is not None:
            counted_in.write_text(str(begun))


def environment_of(lake: Lake) -> dict[str, str]:
    return {
        "BIOREACTOR_LAKE_RAW": str(lake.raw),
        "BIOREACTOR_LAKE_WAREHOUSE": str(lake.warehouse),
        "BIOREACTOR_LAKE_POSTGRES_URL": lake.database,
        "BIOREACTOR_LAKE_REPORTS": str(lake.folder / "reports"),
    }


def untyped(rows: pd.DataFrame) -> pd.DataFrame:
    """A column of nulls has another type where other batches have values."""
    values = rows.astype(object)
    return values.where(values.notna(), None)


@contextmanager
def environment(lake: Lake) -> Iterator[None]:
    mine = environment_of(lake)
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
