"""A run that is killed while files land leaves nothing behind that the next one does not put right."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ibis.backends.duckdb import Backend
from tests.commands import PROCESSES
from tests.landing.landed_lake import LandedLake, rows


def run_until_killed(lake: LandedLake, statement: int) -> None:
    """Before each statement of the landing, and after the copies that it makes."""
    left, original = statement, Backend.raw_sql

    def counted(self: Backend, query: Any, *rest: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, query, *rest, **options)

    Backend.raw_sql = counted
    lake.run("ingestion")


@pytest.mark.nightly
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
            process = PROCESSES.Process(target=run_until_killed, args=(killed, statement), daemon=True)
            process.start()
            process.join(120)
            codes.append(process.exitcode)
        assert -9 in codes
        killed.run("ingestion")
        assert killed.raw_hashes() == whole.raw_hashes()
        assert [path.name for path in killed.raw.rglob(".*")] == []
        assert {path: row["status"] for path, row in killed.files().items()} == dict.fromkeys(
            ("mine/a.csv", "mine/b.csv"), "read"
        )
    assert [path.name for path in killed.warehouse.parent.glob(".*landing-*")] == []
