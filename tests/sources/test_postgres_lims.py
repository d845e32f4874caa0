"""A Postgres LIMS as a source, as docs/lims.md describes it: watermark, snapshot, crashes, refusals."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pyarrow.parquet as pq
import pytest
import yaml
from tests.lineage.official_schemas import errors_of_all
from tests.sources.synced_lake import PROJECT, SyncedLake

from bioreactor_lake.landing.ledger import Ledger
from bioreactor_lake.sources import syncing, writing

pytestmark = pytest.mark.slow
PASSWORD = "planted-s3cret-of-lims"
TABLES = """
CREATE TABLE batch (batch_no text PRIMARY KEY, product text, recipe text, inoculated_at timestamp);
CREATE TABLE sample (id int PRIMARY KEY, batch_no text, sample_no text, taken_at timestamptz);
CREATE TABLE result (id int PRIMARY KEY, sample_id int, analyte text, result text, uom text, updated_at timestamptz);
INSERT INTO batch VALUES ('B-1', 'mAb', 'FB-7', '2026-01-01 08:00'), ('B-9', 'mAb', 'FB-7', NULL);
INSERT INTO sample VALUES (1, 'B-1', 'S-1', '2026-01-02 12:00+01'), (2, 'B-2', 'S-2', '2026-01-02 12:00+01');
INSERT INTO result VALUES (1, 1, 'Glucose', '5.5', 'g/L', '2026-01-03 00:00:00.123456+00'),
    (2, 1, 'Lactate', '<0.1', 'g/L', '2026-01-03 00:00:00.123456+00'), (3, 2, 'Glucose', '4', 'g/L', '2026-01-02'),
    (4, 2, 'VCD', NULL, '10^6 cells/mL', '2026-01-02');
"""


class Lims:
    """A database of its own, and who may read it."""

    def __init__(self, server: str) -> None:
        self.server, self.name = server, f"lims_{uuid4().hex[:10]}"
        self.execute_on(server, f"CREATE DATABASE {self.name}")
        self.owner = f"{server.rpartition('/')[0]}/{self.name}"
        self.execute(TABLES)
        self.execute(f"CREATE ROLE {self.name} LOGIN PASSWORD '{PASSWORD}'")
        self.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {self.name}")

    def execute_on(self, url: str, sql: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql)

    def execute(self, sql: str) -> None:
        self.execute_on(self.owner, sql)

    def url(self, password: str = PASSWORD) -> str:
        return f"postgresql://{self.name}:{password}@{self.owner.rpartition('@')[2]}"

    def drop(self) -> None:
        self.execute(f"DROP OWNED BY {self.name}")
        self.execute_on(self.server, f"DROP DATABASE {self.name} WITH (FORCE)")
        self.execute_on(self.server, f"DROP ROLE {self.name}")


@pytest.fixture
def lims(server: str) -> Iterator[Lims]:
    made = Lims(server)
    yield made
    made.drop()


def documented() -> dict[str, Any]:
    """The example of docs/lims.md."""
    pages = (PROJECT / "docs/lims.md").read_text().split("```yaml\n")[1:]
    (example,) = (one.partition("```")[0] for one in pages if "\n  lims:\n" in one and "sources:" in one)
    sources: dict[str, Any] = yaml.safe_load(example)["sources"]
    return sources


@pytest.fixture
def lake(tmp_path: Path, lims: Lims) -> SyncedLake:
    return SyncedLake(tmp_path / "lake", documented(), {"lims": {"url": lims.url()}})


RESULTS = [("B-1", "S-1", "glucose", "5.5"), ("B-1", "S-1", "lactate", "<0.1"), ("B-2", "S-2", "glucose", "4.0")]


def test_batch_sheets_and_results_join_the_curated_layer(lake: SyncedLake) -> None:
    lake.run()
    assert lake.query("FROM curated.fact_sample_result") == lake.query("FROM raw.batch_sheets") == []
    assert lake.query("SELECT DISTINCT product FROM curated.dim_batch") == [(None,)]
    lake.synced("lims")
    # Each layer in a session of its own, at a time of its own.
    for layer in ("ingestion", "staging", "curated"):
        lake.run(layer)
    assert lake.results() == RESULTS
    dimension = "SELECT batch_id, product, recipe, inoculation_time::VARCHAR FROM curated.dim_batch ORDER BY 1"
    assert lake.query(dimension) == [("B-1", "mAb", "FB-7", "2026-01-01 07:00:00"), ("B-2", None, None, None)]
    assert lake.query("SELECT DISTINCT sampled_at::VARCHAR FROM curated.fact_sample_result") == [
        ("2026-01-02 11:00:00",)
    ]
    origin = lake.query(
        "SELECT path FROM landing.extracted_records WHERE table_name = 'sample_results' AND record_id = '1'"
    )
    assert origin == [("lims/results/extract-000001-all.parquet",)]
    assert [report.batches for report in lake.run().writes if report.table.startswith("curated")] == [0] * 3


def test_a_sync_asks_for_what_is_new(lake: SyncedLake, lims: Lims) -> None:
    lake.synced("lims")
    assert "lims.results: nothing new (2 records since 2026-01-03 00:00:00.123456" in lake.synced("lims")
    assert len(lake.extracts("lims/results")) == len(lake.extracts("lims/batches")) == 1
    lims.execute("INSERT INTO result VALUES (5, 2, 'Lactate', '1', 'g/L', '2026-01-03 00:00:00.123456+00')")
    lims.execute("UPDATE result SET result = '6', updated_at = '2026-01-04' WHERE id = 1")
    lims.execute("DELETE FROM batch WHERE batch_no = 'B-1'")
    said = lake.synced("lims")
    assert "landed 3 records since" in said
    assert [path.name for path in lake.extracts("lims/results")] == [
        "extract-000001-all.parquet",
        "extract-000002-since.parquet",
    ]
    lake.run()
    assert lake.results() == sorted([("B-1", "S-1", "glucose", "6.0"), *RESULTS[1:], ("B-2", "S-2", "lactate", "1.0")])
    assert lake.query("SELECT product FROM curated.dim_batch WHERE batch_id = 'B-1'") == [(None,)]

    # A watermark does not see what was deleted; asking for everything does.
    lims.execute("DELETE FROM result WHERE id = 5")
    assert "nothing new" in lake.synced("lims")
    lake.synced("lims", "results", "--full")
    lake.run()
    assert ("B-2", "S-2", "lactate", "1.0") not in lake.results()

    before = lake.tables()
    lake.warehouse.unlink()
    lake.run()
    assert lake.tables() == before


def kill_before(owner: Any, name: str) -> Callable[[], None]:
    def patch() -> None:
        setattr(owner, name, lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL))

    return patch


def kill_after(owner: Any, name: str) -> Callable[[], None]:
    def patch() -> None:
        function = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            function(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, call)

    return patch


def test_a_killed_sync_loses_and_doubles_nothing(lake: SyncedLake, lims: Lims) -> None:
    lake.synced("lims")
    moments = {
        "while it writes": kill_after(writing, "_write_batches"),
        "before it lands": kill_before(syncing, "land"),
        "before its name": kill_before(Path, "replace"),
        "before the ledger": kill_before(Ledger, "add"),
        "after the ledger": kill_after(Ledger, "add"),
    }
    expected = dict.fromkeys(RESULTS)
    for number, (moment, patch) in enumerate(moments.items()):
        at = f"2026-02-{number + 1:02}"
        lims.execute(f"INSERT INTO result VALUES ({100 + number}, 2, 'VCD', '{number}', '1', '{at}')")
        expected["B-2", "S-2", "vcd", f"{number}.0"] = None

        def sync(patch: Callable[[], None] = patch) -> None:
            patch()
            lake.sync("lims", "results")

        process = get_context("fork").Process(target=sync)
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, moment
        lake.synced("lims", "results")
    lake.run()
    assert lake.results() == sorted(expected)
    numbers = [path.name.split("-")[1] for path in lake.extracts("lims/results")]
    assert numbers == [f"{number + 1:06}" for number in range(len(numbers))]
    assert not [*lake.landing.rglob("*.part"), *lake.landing.rglob(".syncing")]


def test_what_is_refused_says_what_to_do_and_no_secret(lake: SyncedLake, lims: Lims) -> None:
    def refused(credentials: dict[str, Any] | None = None, **tables: dict[str, Any]) -> str:
        sources = documented()
        sources["lims"]["tables"]["batches"] |= tables.get("batches", {})
        lake.configure(sources, credentials or {"lims": {"url": lims.url()}})
        result = lake.sync("lims")
        assert result.exit_code == 1, result.output
        assert PASSWORD not in result.output
        assert "What landed before is kept" in result.output
        return result.output

    wrong = refused({"lims": {"url": lims.url("planted-wrong-one")}})
    assert "password authentication failed" in wrong
    assert "Correct the credentials 'lims'" in wrong
    assert "planted-wrong-one" not in wrong
    assert "refused" in refused({"lims": {"url": f"postgresql://u:{PASSWORD}@127.0.0.1:1/lims"}})
    assert 'relation "nothing" does not exist' in refused(batches={"query": "SELECT * FROM nothing"})
    assert "has no column 'number'" in refused(batches={"key": "number"})
    assert "only 1 differ in product" in refused(batches={"key": "product"})
    assert "without inoculated_at" in refused(batches={"key": "inoculated_at"})
    assert "division by zero" in refused(batches={"query": "SELECT batch_no, 1 / 0 AS product FROM batch"})
    assert not lake.extracts("lims/batches")
    lims.execute("DELETE FROM batch")
    assert "is empty, and none has landed before" in refused()


def test_records_that_are_none_stay_with_a_reason(lake: SyncedLake, lims: Lims) -> None:
    lims.execute("ALTER TABLE sample ALTER taken_at TYPE text; UPDATE sample SET taken_at = 'noon' WHERE id = 2")
    lims.execute("UPDATE sample SET batch_no = ' ' WHERE id = 1")
    lake.synced("lims")
    run = lake.run()
    assert lake.results() == []
    assert lake.query("SELECT record_id, reason FROM raw.sample_results ORDER BY 1") == [
        ("1", "batch_id is missing"),
        ("2", "batch_id is missing"),
        ("3", "sampled_at does not read as a time"),
        ("4", None),
    ]
    assert any("Rejected: 3 records of the source lims" in notice for notice in run.notices)


@pytest.mark.parametrize("end", ["infinity", "-infinity"])
def test_a_time_without_end_is_none(lake: SyncedLake, lims: Lims, end: str) -> None:
    lims.execute(f"UPDATE sample SET taken_at = '{end}' WHERE id = 2")
    lims.execute(f"UPDATE batch SET inoculated_at = '{end}' WHERE batch_no = 'B-1'")
    lims.execute(f"UPDATE result SET updated_at = '{end}' WHERE id = 4")
    lake.synced("lims")
    lake.run()
    assert lake.query("SELECT record_id, reason FROM raw.sample_results ORDER BY 1") == [
        ("1", None), ("2", None), ("3", "sampled_at does not read as a time"), ("4", None),
    ]  # fmt: skip
    assert lake.query("SELECT record_id, reason FROM raw.batch_sheets ORDER BY 1") == [
        ("B-1", "inoculation_time does not read as a time"), ("B-9", None),
    ]  # fmt: skip
    # The watermark is the newest of those that end, so what is new is asked for as before.
    lims.execute("INSERT INTO result VALUES (5, 1, 'Glucose', '6.5', 'g/L', '2026-01-04')")
    assert "lims.results: landed" in lake.synced("lims")
    lake.run()
    assert ("B-1", "S-1", "glucose", "6.5") in lake.results()


def test_extracts_that_are_missing_or_damaged_change_nothing(lake: SyncedLake, lims: Lims) -> None:
    lake.synced("lims")
    lake.run()
    before = lake.tables()
    (extract,) = lake.extracts("lims/results")
    kept = extract.read_bytes()
    extract.unlink()
    run = lake.run()
    assert lake.tables() == before
    assert any("stay as they are: missing: lims/results" in notice for notice in run.notices)
    extract.write_bytes(kept[:100])
    run = lake.run()
    assert lake.tables() == before
    assert any("stay as they are: quarantined" in notice for notice in run.notices)
    lake.synced("lims", "results", "--full")
    lims.execute("UPDATE result SET result = '7', updated_at = '2026-03-01' WHERE id = 1")
    lake.synced("lims")
    lake.run()
    assert ("B-1", "S-1", "glucose", "7.0") in lake.results()
    lake.configure({}, {})
    lake.run()
    assert lake.results() == []


def test_two_syncs_at_once_are_one_after_the_other(lake: SyncedLake) -> None:
    lake.synced("lims")
    source = lake.landing / "lims"
    with (source / ".sync.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = lake.sync("lims")
    assert (result.exit_code, "Another sync of lims is under way" in result.output) == (4, True)


def test_events_are_what_servers_take(lake: SyncedLake, lims: Lims, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "false")
    lake.synced("lims")
    lake.run()
    lines = (lake.folder / "data/lineage/events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert PASSWORD not in "".join(lines)
    (done,) = (one for one in events if one["job"]["name"] == "sync_lims.results" and one["eventType"] == "COMPLETE")
    assert [one["name"] for one in done["inputs"]] == [f"{lims.name}.public.result", f"{lims.name}.public.sample"]
    assert done["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 4
    landing = (done["outputs"][0]["namespace"], done["outputs"][0]["name"])
    readers = {
        one["job"]["name"] for one in events for used in one["inputs"] if (used["namespace"], used["name"]) == landing
    }
    assert {"ingestion.read_landed_files", "ingestion.read_sample_results"} <= readers
    assert errors_of_all(events) == []


def test_wide_types_are_kept(lake: SyncedLake, lims: Lims) -> None:
    lims.execute(
        "ALTER TABLE result ADD amount numeric(30, 10); UPDATE result SET amount = 12345678901234567890.1234567891"
    )
    sources = documented()
    sources["lims"]["tables"]["results"]["query"] = (
        "SELECT *, 'B-1' AS batch_no, 'S' AS sample_no, updated_at AS taken_at, uom AS u FROM result"
    )
    lake.configure(sources, {"lims": {"url": lims.url()}})
    lake.synced("lims", "results")
    (extract,) = lake.extracts("lims/results")
    amounts = {str(value) for value in pq.read_table(extract).column("amount").to_pylist()}
    assert amounts == {"12345678901234567890.1234567891"}


def test_a_run_imports_nothing_that_asks_sources() -> None:
    modules = ("cli", "pipeline_registry", "datasets.extracted_records", "datasets.extracted_tables")
    imports = "; ".join(f"import bioreactor_lake.{module}" for module in modules)
    code = f"{imports}; import sys; print({{'dlt', 'connectorx', 'adbc_driver_postgresql'}} & {{*sys.modules}})"
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
