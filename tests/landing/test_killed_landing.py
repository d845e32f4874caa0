"""A run that is killed while files land leaves nothing behind that the next one does not put right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.landing.landed_lake import PROJECT, LandedLake, rows

KILLED = """
import os, signal, sys
from pathlib import Path
from ibis.backends.duckdb import Backend
from tests.landing.landed_lake import LandedLake
left, original = int(sys.argv[2]), Backend.raw_sql
def counted(self, query, *rest, **options):
    global left
    # Before each statement of the landing, and after the copies that it makes.
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, query, *rest, **options)
Backend.raw_sql = counted
lake = LandedLake.__new__(LandedLake)
lake.__dict__.update(folder=Path(sys.argv[1]), landing=Path(sys.argv[1], "landing"), raw=Path(sys.argv[1], "raw"),
    warehouse=Path(sys.argv[1], "warehouse", "lake.duckdb"), conf=Path(sys.argv[1], "conf"))
lake.run("ingestion")
"""


@pytest.mark.slow
def test_a_run_may_be_killed_anywhere(tmp_path: Path) -> None:
    whole, killed = LandedLake(tmp_path / "whole"), LandedLake(tmp_path / "killed")
    versions = [
        {"a": [("A", 0, "ph", 7), ("B", 0, "ph", 6)], "b": [("B", 1, "ph", 5), ("B", 2, "do", "off")]},
        {"a": [("B", 0, "ph", 1)], "b": [("B", 1, "ph", 5), ("C", 2, "do", 9)]},
    ]
    for version in versions:
        for lake in (whole, killed):
            for name, readings in version.items():
                lake.put(f"mine/{name}.csv", rows(*readings))
        whole.run("ingestion")
        codes = []
        for statement in (12, 20, 26, 31, 36, 40, 44, 50):
            outcome = subprocess.run(
                [sys.executable, "-c", KILLED, str(killed.folder), str(statement)],
                cwd=PROJECT, env={**os.environ, "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}"},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            codes.append(outcome.returncode)
        assert -9 in codes
        killed.run("ingestion")
        assert killed.raw_hashes() == whole.raw_hashes()
        assert [path.name for path in killed.raw.rglob(".*")] == []
        assert {path: row["status"] for path, row in killed.files().items()} == dict.fromkeys(
            ("mine/a.csv", "mine/b.csv"), "read"
        )
    assert [path.name for path in killed.warehouse.parent.glob(".*landing-*")] == []
