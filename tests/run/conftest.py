"""The project as people run it: `kedro` in a process of its own, on a warehouse and a server of the test's."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from tests.commands import run_kedro

Kedro = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def new_database(server: str) -> Callable[[], str]:
    def create() -> str:
        name = f"lake_{uuid4().hex[:8]}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{server.rpartition('/')[0]}/{name}"

    return create


@pytest.fixture
def environment(tmp_path: Path, new_database: Callable[[], str]) -> dict[str, str]:
    return os.environ | {
        "BIOREACTOR_LAKE_WAREHOUSE": str(tmp_path / "lake.duckdb"),
        "BIOREACTOR_LAKE_POSTGRES_URL": new_database(),
        "DO_NOT_TRACK": "1",
        "COLUMNS": "200",
    }


@pytest.fixture
def kedro(environment: dict[str, str]) -> Kedro:
    def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return run_kedro(arguments, environment | extra)

    return run


@pytest.fixture
def held(environment: dict[str, str]) -> Callable[[], AbstractContextManager[int]]:
    """Blocks in which another process holds the warehouse; each gives its id."""

    @contextmanager
    def hold() -> Iterator[int]:
        path = environment["BIOREACTOR_LAKE_WAREHOUSE"]
        process = subprocess.Popen(
            [sys.executable, "-c", f"import duckdb; c = duckdb.connect({path!r}); print('held', flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            process.stdout.readline()
            yield process.pid
        finally:
            process.communicate(b"\n")

    return hold
