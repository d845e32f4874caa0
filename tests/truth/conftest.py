"""Lakes of the tests' own: a real Postgres server for all, a database and a warehouse for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from lake_under_test import PROJECT, Lake, NewLake


@pytest.fixture(scope="session")
def new_lake(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> NewLake:
    """An empty lake over a raw folder: `new_lake(folder)`, with `marts=True` where Postgres is needed as well."""

    def make(raw: Path, *, marts: bool = False, **reading: Any) -> Lake:
        lake = Lake(raw, tmp_path_factory.mktemp("warehouse") / "lake.duckdb", reading=reading)
        if marts:
            server, name = request.getfixturevalue("server"), f"lake_{uuid4().hex[:8]}"
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            lake.postgres_url = server.rpartition("/")[0] + "/" + name
        return lake

    return make


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """A folder of the shared data sets; the test is skipped where they were not handed out."""

    def find(name: str) -> Path:
        folder = PROJECT.parent / "shared" / "realdata" / name
        if not folder.is_dir():
            pytest.skip(f"the data set {name} is not at {folder}")
        return folder

    return find
