"""A run opens the raw files that it needs and no others, as the kernel counts them.

Where the list of the files of a schema changes it also opens the first: DuckDB looks there for the columns of a view.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from tests.increments.lake import PROJECT, Lake, environment_of
from tests.increments.lake import readings as made_up

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: apt-get install strace"),
]
FIRST = "00.parquet"


def readings(batch: str, seed: int) -> list[tuple[Any, ...]]:
    """What every check takes for possible: checks open no file either that they need not."""
    return [(*row[:4], 7.0) for row in made_up(batch, seed)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Lake]:
    """50 raw files of 25 batches, two files each."""
    lake = Lake(tmp_path_factory.mktemp("opened") / "lake", server)
    lake.checkpoints = True
    for number in range(50):
        lake.put(f"{number:02}.parquet", readings(f"B-{number // 2:02}", number + 1))
    yield lake
    lake.drop()


@pytest.fixture
def lake(built: Lake) -> Lake:
    """The lake up to date, its files as if written long ago: a run hashes again what was written just before."""
    built.run(allow_removal=True)
    with duckdb.connect(built.warehouse) as connection:
        connection.execute("UPDATE lake_state.file_keys SET settled = true")
    return built


def opened(lake: Lake, *command: str) -> set[str]:
    """Names of the raw files that a command opens."""
    log = lake.folder / "strace.txt"
    trace = ["strace", "-f", "--seccomp-bpf", "-e", "trace=open,openat,openat2", "-o", str(log)]
    kedro = [sys.executable, "-m", "kedro", *command]
    environment = os.environ | environment_of(lake) | {"DO_NOT_TRACK": "1"}
    done = subprocess.run([*trace, *kedro], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if "PTRACE_TRACEME" in done.stderr:
        pytest.skip("strace is not allowed to trace here (ptrace)")
    assert done.returncode == 0, done.stderr
    return set(re.findall(rf'"{re.escape(str(lake.raw))}/([^"]+)"', log.read_text()))


def test_an_idle_run_opens_none(lake: Lake) -> None:
    assert opened(lake, "run") == set()


def test_a_plan_with_nothing_new_opens_none(lake: Lake) -> None:
    assert opened(lake, "lake", "plan") == set()


def test_a_run_of_the_marts_opens_none(lake: Lake) -> None:
    assert opened(lake, "run", "--pipeline", "marts", "--params", "full_refresh=true") == set()


def test_a_new_file_opens_the_files_of_its_batch(lake: Lake) -> None:
    lake.put("new.parquet", readings("B-07", 60))
    assert opened(lake, "run") == {FIRST, "new.parquet", "14.parquet", "15.parquet"}


def test_a_file_of_a_new_batch_opens_itself(lake: Lake) -> None:
    lake.put("other.parquet", readings("B-new", 61))
    assert opened(lake, "run") == {FIRST, "other.parquet"}


def test_a_changed_file_opens_the_files_of_its_batch(lake: Lake) -> None:
    lake.put("20.parquet", readings("B-10", 62))
    assert opened(lake, "run") == {"20.parquet", "21.parquet"}


def test_a_removed_file_opens_those_of_its_batch(lake: Lake) -> None:
    (lake.raw / "30.parquet").unlink()
    assert opened(lake, "run") == {FIRST, "31.parquet"}
