"""TLS to an object store of one's own: whoever asks, botocore or DuckDB, checks name and authority."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import ibis
import pytest
from tests.object_store.s3_server import KEY, SECRET, Server, connect
from tests.tls.authority import Authority, TlsPort

from bioreactor_lake.errors import LakeError
from bioreactor_lake.raw_store import open_store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("s3") / "weed")
    server.wait()
    local = duckdb.connect()
    file = tmp_path_factory.mktemp("file") / "a.parquet"
    local.execute(f"COPY (SELECT 42 AS answer) TO '{file}' (FORMAT parquet)")
    connect(server.port).put_object(Bucket=server.BUCKET, Key="raw/a.parquet", Body=file.read_bytes())
    yield server
    server.stop()


@pytest.fixture
def secured(s3: Server, tmp_path: Path) -> Iterator[tuple[str, Authority]]:
    authority = Authority(tmp_path, "ours")
    port = TlsPort(s3.port, authority.certify("localhost"))
    yield f"https://localhost:{port.port}", authority
    port.close()


def store_at(s3: Server, endpoint: str, bundle: Path | None):
    return open_store(
        {
            "path": f"s3://{s3.BUCKET}/raw", "endpoint_url": endpoint, "region": "us-east-1",
            "ca_bundle": str(bundle) if bundle else None, "credentials": {"key": KEY, "secret": SECRET},
        }
    )  # fmt: skip


def read(store) -> list[tuple]:
    """By DuckDB, whatever the listing said."""
    backend = ibis.duckdb.connect()
    try:
        store.prepare(backend, remember=False)
        backend.raw_sql("SET http_retries = 0")
        return backend.raw_sql(f"SELECT answer FROM read_parquet('{store.root}/a.parquet')").fetchall()
    finally:
        backend.disconnect()


@pytest.mark.parametrize("given", ["configuration", "AWS_CA_BUNDLE"])
def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    s3: Server, secured: tuple[str, Authority], given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, authority = secured
    if given == "AWS_CA_BUNDLE":
        monkeypatch.setenv(given, str(authority.file))
    store = store_at(s3, endpoint, authority.file if given == "configuration" else None)
    assert [file.path for file in store.find_files()] == ["a.parquet"]
    assert read(store) == [(42,)]


@pytest.mark.parametrize(
    "change",
    [
        lambda endpoint, authority, folder: (endpoint, None),
        lambda endpoint, authority, folder: (endpoint, Authority(folder, "theirs").file),
        lambda endpoint, authority, folder: (endpoint.replace("localhost", "127.0.0.1"), authority.file),
    ],
    ids=["nobody vouches", "another authority", "another name"],
)
def test_a_store_that_cannot_be_trusted_is_neither_listed_nor_read(
    s3: Server, secured: tuple[str, Authority], change: Callable, tmp_path: Path
) -> None:
    endpoint, bundle = change(*secured, tmp_path)
    store = store_at(s3, endpoint, bundle)
    with pytest.raises(LakeError, match=r"cannot be trusted: .*\n?.*AWS_CA_BUNDLE"):
        store.find_files()
    with pytest.raises(duckdb.Error, match=r"(?i)ssl|certificate|peer"):
        read(store)


def test_a_bundle_that_is_not_there_is_named(s3: Server, secured: tuple[str, Authority], tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"no-such\.pem"):
        store_at(s3, secured[0], tmp_path / "no-such.pem").find_files()
