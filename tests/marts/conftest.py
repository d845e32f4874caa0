"""A real Postgres server for the tests of this folder, with a database of its own for each test."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from bioreactor_lake.postgres.database import Database
from bioreactor_lake.postgres.embedded import EmbeddedServer


@pytest.fixture
def database(server: str) -> Database:
    name = f"lake_{uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return Database({"attempts": 1, "wait_seconds": 0}, server.rpartition("/")[0] + "/" + name)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that a test may kill."""
    server = EmbeddedServer(tmp_path / "postgres")
    server.acquire()
    yield server
    server.release()
