"""Extracts of a real LIMS that land in a bucket: as in a folder, whenever a sync is killed, and of two machines."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from s3_server import KEY, SECRET, Server, Way, connect
from tests.sources.synced_lake import SyncedLake
from tests.sources.test_postgres_lims import RESULTS, Lims, documented, kill_after, kill_before

from bioreactor_lake.landing.places import LandingBucket
from bioreactor_lake.sources import syncing, writing

pytestmark = pytest.mark.slow


class BucketSyncedLake(SyncedLake):
    """A lake whose landing zone is below a prefix of a bucket."""

    def __init__(self, folder: Path, client: Any, prefix: str, url: str) -> None:
        super().__init__(folder, documented(), {"lims": {"url": url}, "raw": {"key": KEY, "secret": SECRET}})
        self.client, self.prefix = client, prefix

    @contextmanager
    def here(self) -> Iterator[None]:
        with super().here(), mock.patch.dict(os.environ, BIOREACTOR_LAKE_LANDING=f"s3://lake/{self.prefix}"):
            yield

    def names(self) -> list[str]:
        listed = self.client.list_objects_v2(Bucket="lake", Prefix=self.prefix).get("Contents", [])
        return sorted(one["Key"].removeprefix(f"{self.prefix}/") for one in listed)

    def ledger(self) -> list[dict[str, Any]]:
        body = self.client.get_object(Bucket="lake", Key=f"{self.prefix}/ledger.jsonl")["Body"].read()
        return [json.loads(line) for line in body.decode().splitlines()]


@pytest.fixture(scope="module")
def new_lims(server: str) -> Iterator[Callable[[], Lims]]:
    made: list[Lims] = []

    def make() -> Lims:
        made.append(Lims(server))
        return made[-1]

    yield make
    for lims in made:
        lims.drop()


@pytest.fixture
def lims(new_lims: Callable[[], Lims]) -> Lims:
    return new_lims()


@pytest.fixture
def lake(s3: Server, way: Way, lims: Lims, tmp_path: Path) -> BucketSyncedLake:
    return BucketSyncedLake(tmp_path / "lake", connect(s3.port), uuid4().hex, lims.url())


def test_extracts_in_a_bucket_give_what_those_in_a_folder_give(
    lake: BucketSyncedLake, lims: Lims, way: Way, tmp_path: Path
) -> None:
    local = SyncedLake(tmp_path / "local", documented(), {"lims": {"url": lims.url()}})
    assert "landed 4 records: lims/results/extract-000001-all.parquet" in lake.synced("lims")
    assert "nothing new (2 records since" in lake.synced("lims", "results")
    local.synced("lims")
    lake.run()
    assert lake.results() == RESULTS
    lims.execute("UPDATE result SET result = '6', updated_at = '2026-01-04' WHERE id = 1")
    for one in (lake, local):
        one.synced("lims")
        one.run()
    assert ("B-1", "S-1", "glucose", "6.0") in lake.results()
    assert lake.tables() == local.tables()
    assert [name for name in lake.names() if "results" in name] == [
        "lims/results/extract-000001-all.parquet",
        "lims/results/extract-000002-since.parquet",
    ]
    assert {(one["how"], bool(one["run_id"])) for one in lake.ledger()} == {("synced", True)}
    assert not lake.landing.exists()
    assert not [path for path in lake.folder.rglob("*") if path.suffix in (".original", ".parquet") and "01_raw" not in
                path.parts]  # fmt: skip

    way.requests.clear()
    lake.run()
    assert not [path for _, path in way.of_objects() if ".parquet" in path], "an idle run opened an extract"

    # Damaged in its place, then gone: the rows stay, and a new beginning mends it.
    before = lake.tables()
    since = f"{lake.prefix}/lims/results/extract-000002-since.parquet"
    lake.client.put_object(Bucket="lake", Key=since, Body=b"PAR1 no more")
    assert any("stay as they are: quarantined" in notice for notice in lake.run("ingestion").notices)
    lake.client.delete_object(Bucket="lake", Key=since)
    assert any("stay as they are: missing" in notice for notice in lake.run("ingestion").notices)
    assert lake.tables() == before
    lake.synced("lims", "results", "--full")
    lake.warehouse.unlink()
    lake.run()
    assert lake.results() == local.results()


def test_a_sync_into_a_bucket_that_is_killed_loses_and_doubles_nothing(lake: BucketSyncedLake, lims: Lims) -> None:
    lake.synced("lims", "results")
    expected = dict.fromkeys(RESULTS)
    moments = {
        "while it writes": kill_after(writing, "_write_batches"),
        "before the ledger": kill_before(LandingBucket, "add_to_ledger"),
    }
    for number, (moment, patch) in enumerate(moments.items()):
        at = f"2026-02-{number + 1:02}"
        lims.execute(f"INSERT INTO result VALUES ({100 + number}, 2, 'VCD', '{number}', '1', '{at}')")
        expected["B-2", "S-2", "vcd", f"{number}.0"] = None

        def sync(patch: Callable[[], None] = patch) -> None:
            patch()
            lake.sync("lims", "results")

        process = get_context("fork").Process(target=sync)
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, moment
        lake.synced("lims", "results")
    lake.synced("lims", "batches")
    lake.run()
    assert lake.results() == sorted(expected)
    numbers = [name.split("-")[1] for name in lake.names() if "results/extract" in name]
    assert numbers == [f"{number + 1:06}" for number in range(len(numbers))]
    assert not [*(lake.warehouse.parent / ".syncs").rglob("*.parquet")]


def test_of_two_machines_one_is_told_that_the_other_was_there(
    lake: BucketSyncedLake, lims: Lims, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = BucketSyncedLake(tmp_path / "other", lake.client, lake.prefix, lims.url())
    write, turns = writing.write_extract, [True]

    def meanwhile(*arguments: Any) -> int:
        if turns.pop() if turns else False:
            os.environ["BIOREACTOR_LAKE_LANDING"] = f"s3://lake/{lake.prefix}"
            os.chdir(other.folder)
            other.synced("lims", "batches")
        return write(*arguments)

    monkeypatch.setattr(syncing, "write_extract", meanwhile)
    result = lake.sync("lims", "batches")
    assert result.exit_code == 4, result.output
    assert "has landed lims/batches/extract-000001-all.parquet meanwhile" in result.output
    assert [one["path"] for one in lake.ledger()] == ["lims/batches/extract-000001-all.parquet"]
    assert "nothing new" in lake.synced("lims", "batches")
