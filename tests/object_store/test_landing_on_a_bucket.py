"""Originals in a bucket: kept byte for byte, read once, with the results of a folder, on a real S3 server."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from s3_server import Server, Way, connect
from tests.landing.landed_lake import LandedLake, rows

from bioreactor_lake.errors import LakeError, find_lake_error
from bioreactor_lake.landing.places import open_landing
from bioreactor_lake.landing.zone import land

A = rows(("A", 0, "ph", 7.0), ("A", 1, "ph", 7.1), ("B", 0, "ph", 6.9)) + "2025-06-01T10:02:00Z,,ph,7\n"
B = rows(("B", 5, "ph", 6.5), ("B", 6, "state", "on"))


class BucketLandedLake(LandedLake):
    """A lake whose landing zone is in a bucket."""

    def __init__(self, folder: Path, client: Any, bucket: str) -> None:
        super().__init__(folder)
        self.client, self.bucket, self.prefix = client, bucket, f"{uuid4().hex}/landing/"
        self.landing: Any = f"s3://{bucket}/{self.prefix}".rstrip("/")

    @property
    def raw_in_bucket(self) -> Any:
        return f"s3://{self.bucket}/{self.prefix.partition('/')[0]}/raw"

    def raw_hashes(self) -> dict[str, str]:
        if self.raw != self.raw_in_bucket:
            return super().raw_hashes()
        prefix = f"{self.prefix.partition('/')[0]}/raw/"
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        names = [one["Key"] for one in listed]
        bodies = (self.client.get_object(Bucket=self.bucket, Key=name)["Body"].read() for name in names)
        return {
            name.removeprefix(prefix): hashlib.sha256(body).hexdigest()
            for name, body in zip(names, bodies, strict=True)
        }

    def put(self, path: str, content: str | bytes) -> Path:
        body = content.encode() if isinstance(content, str) else content
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + path, Body=body)
        return Path(path)

    def get(self, path: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=self.prefix + path)["Body"].read()
        return body

    def names(self) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix).get("Contents", [])
        return sorted(one["Key"].removeprefix(self.prefix) for one in listed)

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.get("ledger.jsonl").decode().splitlines()]

    def place(self, way: Way) -> Any:
        store = {"endpoint_url": f"http://127.0.0.1:{way.port}", "region": "us-east-1"}
        return open_landing(self.landing, {**store, "credentials": {"key": "lake-reader", "secret": _SECRET}})


_SECRET = "a-secret-that-is-planted"


@pytest.fixture
def lake(s3: Server, way: Way, tmp_path: Path) -> BucketLandedLake:
    return BucketLandedLake(tmp_path / "lake", connect(s3.port), s3.BUCKET)


@pytest.mark.slow
def test_a_bucket_gives_what_a_folder_gives_and_opens_only_what_is_new(
    lake: BucketLandedLake, way: Way, tmp_path: Path
) -> None:
    local = LandedLake(tmp_path / "local")
    lake.raw = lake.raw_in_bucket
    for one in (lake, local):
        one.put("mine/R1/a b.csv", A)
        one.put("mine/.hidden.csv", A)
        one.put("mine/b.csv.part", A)
        one.put("other/x.csv", "a\n")
        one.run("ingestion")
    assert sorted(lake.raw_hashes()) == ["mine/A.parquet", "mine/B.parquet"]
    assert lake.raw_hashes() == local.raw_hashes()
    told = ("path", "source", "sha256", "size_bytes", "status", "reader", "batch_ids", "rows_in", "rows_rejected")
    for name, row in local.files().items():
        assert {key: lake.files()[name][key] for key in told} == {key: row[key] for key in told}
    assert lake.query("SELECT sum(rows_accepted) FROM raw.files") == [(3,)]
    assert lake.get("mine/R1/a b.csv") == A.encode()
    assert {one["sha256"] for one in lake.ledger()} == {one["sha256"] for one in local.ledger()}

    for one in (lake, local):
        one.put("mine/b.csv", B)
    way.requests.clear()
    lake.run("ingestion")
    assert {path.rpartition("/")[2] for method, path in way.of_objects() if ".csv" in path} == {"b.csv"}
    local.run("ingestion")
    assert lake.raw_hashes() == local.raw_hashes()
    assert len(lake.ledger()) == 3

    # What is gone keeps its rows until that is meant, and an empty place is one that is not there.
    kept = lake.raw_hashes()
    lake.client.delete_object(Bucket=lake.bucket, Key=f"{lake.prefix}mine/b.csv")
    lake.run("ingestion")
    assert lake.files()["mine/b.csv"]["status"] == "missing"
    assert lake.raw_hashes() == kept
    lake.run("ingestion", allow_removal=True)
    assert lake.query("SELECT sum(rows_accepted) FROM raw.files WHERE status = 'accepted'") == [(3,)]
    for name in lake.names():
        lake.client.delete_object(Bucket=lake.bucket, Key=lake.prefix + name)
    lake.run("ingestion", allow_removal=True)
    assert len(lake.raw_hashes()) == 2


@pytest.mark.slow
def test_landing_in_a_bucket_keeps_what_was_there(lake: BucketLandedLake, way: Way, tmp_path: Path) -> None:
    place = lake.place(way)
    given = tmp_path / "a.csv"
    for content, expected in ((A, True), (A, False), (B, True)):
        given.write_text(content)
        assert list(land(place, "mine", given)) == [("mine/a.csv", expected)]
    assert lake.get("mine/a.csv") == B.encode()
    aside = f"mine/.superseded/{hashlib.sha256(A.encode()).hexdigest()[:16]}/a.csv"
    assert lake.names() == ["ledger.jsonl", aside, "mine/a.csv"]
    assert lake.get(aside) == A.encode()
    expected_hashes = [hashlib.sha256(text.encode()).hexdigest() for text in (A, B)]
    assert [(one["how"], one["sha256"]) for one in lake.ledger()] == [("landed", one) for one in expected_hashes]
    # Others write the ledger between its reading and its writing.
    read, between = place._bucket.read, [place.add_to_ledger]

    def interrupted(path: str) -> Any:
        found = read(path)
        if between:
            between.pop()([_other("x.csv")])
        return found

    place._bucket.read = interrupted
    place.add_to_ledger([_other("y.csv")])
    assert [one["path"] for one in lake.ledger()][2:] == ["mine/x.csv", "mine/y.csv"]


@pytest.mark.slow
def test_wrong_credentials_a_missing_bucket_and_a_cut_line_are_three_errors(
    lake: BucketLandedLake, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    lake.put("mine/a.csv", A)
    lake.run()
    before = lake.files(), lake.raw_hashes()
    lake.put("mine/b.csv", B * 2000)
    said = []
    with monkeypatch.context() as changed:
        changed.setenv("BIOREACTOR_LAKE_RAW_SECRET", "wrong")
        said.append(_fails(lake))
    there = lake.landing
    lake.landing = "s3://nowhere/landing"
    said.append(_fails(lake))
    lake.landing = there
    way.cut_after = 20_000  # the listing comes through, the object does not
    said.append(_fails(lake))
    way.cut_after = None
    assert "does not know the credentials" in said[0]
    assert "There is no bucket nowhere" in said[1]
    assert "BIOREACTOR_LAKE_LANDING" in said[1]
    assert "cannot be reached" in said[2]
    assert not any(_SECRET in text or "wrong" in text for text in said)
    assert (lake.files(), lake.raw_hashes()) == before
    lake.run()
    assert lake.files()["mine/b.csv"]["status"] == "read"


def _fails(lake: BucketLandedLake) -> str:
    with pytest.raises(Exception, match="Every table is as it was") as raised:
        lake.run()
    error = find_lake_error(raised.value)
    assert isinstance(error, LakeError)
    return str(error)


def _other(name: str) -> Any:
    from bioreactor_lake.landing.zone import landed_now

    return landed_now(f"mine/{name}", "0" * 64, 1)
