"""The plain script is a fair opponent only as long as it makes the lake's tables."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioreactor_lake.postgres import placement
from bioreactor_lake.postgres.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "01_raw" / "bioreactor"
sys.path.insert(0, str(ROOT / "benchmarks"))


AWKWARD = [
    # batch, equipment, site, minute, tag, value, unit, quality
    ("X", "R1", "Basel", 0, "ph", 7.0, "", "good"),
    (" X\t", "R1\0\0", "Basel ", 0, " ph ", 7.5, " ", "bad"),  # a tie in time, padding, an empty unit
    ("X", "R1", None, 0, "ph", None, None, None),
    ("X", "R1", "Cork", 1, "do", float("nan"), None, None),
    ("X", "R1", "Cork", 1, "do", float("inf"), None, None),
    ("X", "R2", "Cork", 1, "do", float("-inf"), None, None),
    ("X", "R2", "", 2, "vcd", 1e200, "x", None),
    ("X", "R2", "", 3, "vcd", 1.0, "x", None),
    ("x", "R2", "\0", 3, "vcd", -1e151, "x", None),
    ("x", "R 2\0", "A\0 B", 9, "v\0cd", 1e150, "x", None),
    ("\0 ", "R2", "Cork", 3, "vcd", 1.0, "x", "rejected"),
    ("X" * 200, "R2", "Cork", 3, "vcd", 1.0, "x", ""),
    ("X" * 201, "R2", "Cork", 3, "vcd", 1.0, "x", "rejected"),
    (None, "R2", "Cork", 3, "vcd", 1.0, "x", "rejected"),
    ("X", " ", "Cork", 3, "vcd", float("nan"), "x", "rejected"),
    ("X", "R2", "Cork", 3, "\v\f\r\n", 1.0, "x", "rejected"),
    ("X", "R2", "Cork", None, "vcd", 1.0, "x", "rejected"),
]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A batch of the sample and a file of what is rarely seen."""
    folder = tmp_path / "raw"
    folder.mkdir()
    files = sorted(SAMPLE.glob("*.parquet"))[:1]
    for file in files:
        shutil.copy(file, folder)
    schema = pq.read_schema(files[0])
    names = ("batch_id", "equipment_id", "site", "ts", "tag", "value", "unit", "quality")
    rows = [dict(zip(names, row, strict=True)) for row in AWKWARD]
    for row in rows:
        row["ts"] = None if row["ts"] is None else datetime(2026, 1, 1, 12, row["ts"], 59, 999999, UTC)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "awkward.parquet", store_schema=False)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "postgres"
    with EmbeddedServer(folder) as url:
        place = placement.existing(folder)
        yield url
    if place is not None:
        shutil.rmtree(place.pgdata)  # for root it lies elsewhere


@pytest.mark.slow
def test_plain_script_makes_the_tables_of_the_lake(server: str, raw: Path, tmp_path: Path) -> None:
    from compare import differences
    from plain_script import build

    lakes = {name: (tmp_path / f"{name}.duckdb", f"{server.rpartition('/')[0]}/{name}") for name in ("kedro", "plain")}
    with psycopg.connect(server, autocommit=True) as connection:
        for name in lakes:
            connection.execute(f"CREATE DATABASE {name}")
    variables = {"RAW": str(raw), "WAREHOUSE": str(lakes["kedro"][0]), "POSTGRES_URL": lakes["kedro"][1]}
    environment = {f"BIOREACTOR_LAKE_{name}": value for name, value in variables.items()}
    run = subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--params", "checkpoints=false"],
        cwd=ROOT,
        env={**os.environ, **environment, "DO_NOT_TRACK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    build(raw, *lakes["plain"])
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 0, said

    assert differences(lakes["kedro"], lakes["plain"]) == []

    with psycopg.connect(lakes["plain"][1]) as connection:
        connection.execute(
            "UPDATE marts.mart_bioreactor_timeline SET avg_value = avg_value + 1 WHERE ctid = "
            "(SELECT ctid FROM marts.mart_bioreactor_timeline WHERE avg_value IS NOT NULL LIMIT 1)"
        )
    assert [text.partition(":")[0] for text in differences(lakes["kedro"], lakes["plain"])] == [
        "marts.mart_bioreactor_timeline"
    ], "a difference was overlooked"
