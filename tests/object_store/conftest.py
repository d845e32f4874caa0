"""A real S3 server for the tests of this folder, a bucket for each test, and lakes that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bucket_lake import BucketLake
from s3_server import KEY, SECRET, Server, Way, connect


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    for attempt in range(3):  # another process may take one of its ports first
        server = Server(tmp_path_factory.mktemp("s3") / "weed")
        try:
            server.wait()
            break
        except RuntimeError:
            server.stop()
            if attempt == 2:
                raise
    yield server
    server.stop()


@pytest.fixture
def way(s3: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """The way that the lake takes to the server; its credentials are Kedro's, its endpoint is the AWS chain's."""
    way = Way(s3.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{way.port}")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("BIOREACTOR_LAKE_RAW_KEY", KEY)
    monkeypatch.setenv("BIOREACTOR_LAKE_RAW_SECRET", SECRET)
    yield way
    way.close()


@pytest.fixture
def new_lake(s3: Server, server: str, way: Way, tmp_path: Path) -> Iterator[Callable[[], BucketLake]]:
    made: list[BucketLake] = []

    def make() -> BucketLake:
        made.append(BucketLake(tmp_path / f"lake{len(made)}", server, connect(s3.port), s3.BUCKET))
        return made[-1]

    yield make
    for lake in made:
        lake.drop()
