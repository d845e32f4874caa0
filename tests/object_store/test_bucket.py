"""What the lake knows of a bucket from one listing, and what it says when there is none to be had."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from s3_server import KEY, SECRET, Server, Way, connect

from bioreactor_lake.errors import LakeError
from bioreactor_lake.raw_store import RawConfig, open_store


@pytest.fixture(scope="module")
def moto() -> Iterator[int]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


def config(port: int, path: str = "s3://lake/raw", **credentials: str) -> RawConfig:
    given = credentials or {"key": KEY, "secret": SECRET}
    return {
        "path": path, "endpoint_url": f"http://127.0.0.1:{port}", "region": "us-east-1", "path_style": None,
        "credentials": given,
    }  # fmt: skip


@pytest.fixture(scope="module")
def client(moto: int) -> Any:
    client = connect(moto)
    client.create_bucket(Bucket="lake")
    return client


def test_a_listing_of_many_pages_names_every_object_once(
    moto: int, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    for number in range(23):
        client.put_object(Bucket="lake", Key=f"many/{number:05}.parquet", Body=b"PAR1")
    client.put_object(Bucket="lake", Key="many/", Body=b"")
    client.put_object(Bucket="lake", Key="many/.hidden/x.parquet", Body=b"PAR1")
    client.put_object(Bucket="lake", Key="many/x.tmp", Body=b"PAR1")
    client.put_object(Bucket="lake", Key="many-other/x.parquet", Body=b"PAR1")
    assert len(client.list_objects_v2(Bucket="lake")["Contents"]) == 10
    found = open_store(config(moto, "s3://lake/many/")).find_files(["*.tmp"])
    assert [file.path for file in found] == [f"{number:05}.parquet" for number in range(23)]
    assert found[7].location == "s3://lake/many/00007.parquet"
    assert found[7].size_bytes == 4
    assert abs(found[7].modified_at - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=10)


@pytest.mark.parametrize("count", [3, 40])
def test_keys_follow_content_and_not_times(moto: int, client: Any, count: int) -> None:
    paths = [f"{number}.parquet" for number in range(count)]
    store = open_store(config(moto, f"s3://lake/keys{count}"))
    for path in paths:
        client.put_object(Bucket="lake", Key=f"keys{count}/{path}", Body=path.encode())
    before = {file.path: file.key for file in store.find_files()}
    assert store.current_keys(paths) == before
    client.put_object(Bucket="lake", Key=f"keys{count}/0.parquet", Body=b"0.parquet")
    client.put_object(Bucket="lake", Key=f"keys{count}/1.parquet", Body=b"other")
    client.delete_object(Bucket="lake", Key=f"keys{count}/2.parquet")
    now = store.current_keys(paths)
    assert {path for path in paths if now.get(path) != before[path]} == {"1.parquet", "2.parquet"}


def test_a_whole_bucket_can_be_the_raw_folder(moto: int, client: Any) -> None:
    client.create_bucket(Bucket="whole")
    client.put_object(Bucket="whole", Key="a/b.parquet", Body=b"PAR1")
    (found,) = open_store(config(moto, "s3://whole")).find_files()
    assert (found.path, found.location) == ("a/b.parquet", "s3://whole/a/b.parquet")


@pytest.mark.parametrize(
    ("changes", "credentials", "sentences"),
    [
        (
            {},
            {"key": KEY, "secret": "no"},
            ["does not know the credentials", "SignatureDoesNotMatch", "credentials.yml"],
        ),
        (
            {},
            {"key": "nobody", "secret": "no"},
            ["does not know the credentials", "InvalidAccessKeyId"],
        ),
        ({"path": "s3://nowhere/raw"}, {}, ["There is no bucket nowhere", "make the bucket"]),
        ({"endpoint_url": "http://127.0.0.1:9"}, {}, ["127.0.0.1:9 cannot be reached", "Check the network"]),
        ({"endpoint_url": "not a URL"}, {}, ["cannot be read", "raw"]),
        ({"path": "gs://lake/raw"}, {}, ["cannot be read from gs:// addresses"]),
        ({"path": "s3:///raw"}, {}, ["names no bucket"]),
        ({}, {"key": KEY}, ["lack secret"]),
        ({}, {"key": "", "secret": ""}, ["There are no credentials", "AWS_ACCESS_KEY_ID"]),
    ],
)
def test_each_fault_has_its_own_words(
    s3: Server,
    monkeypatch: pytest.MonkeyPatch,
    changes: Any,
    credentials: dict[str, str],
    sentences: list[str],
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(LakeError) as raised:
        open_store({**config(s3.port, **credentials), **changes}).find_files()
    for sentence in sentences:
        assert sentence in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_line_that_goes_dead_in_a_listing_is_said(s3: Server) -> None:
    way = Way(s3.port)
    way.cut_after = 10
    with pytest.raises(LakeError, match=r"cannot be reached|failed"):
        open_store(config(way.port)).find_files()
    way.close()
