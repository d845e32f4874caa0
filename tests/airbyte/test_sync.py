"""The real PyAirbyte with a real connector, in environments of their own that later test runs find again."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.landing.landed_lake import PROJECT, LandedLake

from bioreactor_lake.airbyte.connections import find_connection
from bioreactor_lake.airbyte.sync import Sync
from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.landing.places import LandingFolder

ENVIRONMENTS = PROJECT / "data" / "airbyte"
SECRET = "a-secret-that-is-planted"
FAKER = {
    "source": "mine",
    "connector": "source-faker",
    "requirements": "tests/airbyte/source-faker.lock",
    "streams": ["users"],
    "config": {"count": 20, "seed": 7, "parallelism": 1, "always_updated": False},
}
PROFILE = {
    "parquet": {},
    "files": "users/*",
    "time": {"columns": "updated_at"},
    "batch": {"column": "blood_type"},
    "equipment": {"value": "E"},
    "wide": {"only": ["age", "height"]},
    "repeats": {"newest": "_airbyte_extracted_at"},
}


@pytest.mark.nightly
@pytest.mark.slow
def test_what_a_connector_extracts_lands_and_is_read(tmp_path: Path) -> None:
    lake = LandedLake(tmp_path / "lake", PROFILE)
    folder = tmp_path / "airbyte"
    folder.mkdir()
    for shared in ("venv", "connectors"):
        (ENVIRONMENTS / shared).mkdir(parents=True, exist_ok=True)
        (folder / shared).symlink_to(ENVIRONMENTS / shared)
    connection = find_connection("people", {"people": FAKER}, {"airbyte_people": {"password": SECRET}}, PROJECT)
    sync = Sync(connection, folder, PROJECT / "requirements-airbyte.lock", LandingFolder(lake.landing))
    said: list[str] = []
    (first,) = sync.run(said.append)
    assert (first.stream, first.records) == ("users", 20)
    landed = pq.read_table(lake.landing / first.path)
    assert {"_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_meta"} <= {*landed.column_names}
    assert landed.schema.field("_airbyte_extracted_at").type.tz is not None
    (entry,) = lake.ledger()
    assert (entry["path"], entry["how"]) == (first.path, "landed")
    run = lake.run()
    (row,) = lake.files().values()
    assert (row["status"], row["rows_in"], row["readings"], run.observed["quarantine"]) == ("read", 20, 40, [])
    (second,) = sync.run(said.append)
    assert second.path == ""  # incremental: nothing is new
    assert len(lake.ledger()) == 1
    left = [path for path in (folder / "connections").rglob("*") if path.is_file()]
    assert {path.name for path in left} == {"cache.duckdb", "landed.json", "lock", "sync.log"}
    assert not [path for path in left if SECRET.encode() in path.read_bytes()]


def test_what_a_connection_lacks_is_said(tmp_path: Path) -> None:
    for wrong, message in (
        ({"connector": ""}, "which connector"),
        ({"streams": []}, "which streams"),
        ({"streams": ["a/b", "a_b"]}, "one folder"),
        ({"executable": "/bin/true"}, "in one way"),
        ({"stream": ["users"]}, "which means nothing"),
        ({"requirements": "not/there.lock"}, "not there"),
        ({"source": "../up"}, "names the source"),
    ):
        with pytest.raises(UsageError, match=message):
            find_connection("people", {"people": {**FAKER, **wrong}}, {}, PROJECT)
    with pytest.raises(UsageError, match="there are: people"):
        find_connection("other", {"people": FAKER}, {}, PROJECT)


class _Records:
    """What a sync extracted of a stream."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "extracted.parquet"

    def __call__(self, records: int, digest: str, mode: str = "full_refresh") -> list[dict[str, object]]:
        self.file.write_text(digest)
        return [{"stream": "a/b", "mode": mode, "file": str(self.file), "records": records, "digest": digest}]


def test_a_whole_extract_takes_the_place_of_the_one_before_and_may_not_be_empty(tmp_path: Path) -> None:
    connection = find_connection("people", {"people": FAKER}, {}, PROJECT)
    zone = tmp_path / "landing"
    sync = Sync(connection, tmp_path, tmp_path / "lock", LandingFolder(zone))
    extracted, memory = _Records(tmp_path), tmp_path / "landed.json"
    assert sync._land(extracted(0, "0-"), memory)[0].path == ""
    for digest, expected in (("one", "mine/a_b/all.parquet"), ("one", ""), ("two", "mine/a_b/all.parquet")):
        assert sync._land(extracted(2, digest), memory)[0].path == expected
    assert (zone / "mine" / "a_b" / "all.parquet").read_text() == "two"
    (before,) = (zone / "mine" / ".superseded").rglob("*.parquet")
    assert before.read_text() == "one"
    with pytest.raises(LakeError, match="is empty, and was not before"):
        sync._land(extracted(0, "0-"), memory)
    path = sync._land(extracted(1, "x", "incremental"), memory)[0].path
    assert path.startswith("mine/a_b/20")
    assert path.endswith("_0.parquet")


@pytest.mark.nightly
@pytest.mark.slow
def test_a_sync_that_fails_says_why_without_the_secret(tmp_path: Path) -> None:
    lake = LandedLake(tmp_path / "lake", PROFILE)
    project = tmp_path / "project"
    (project / "data" / "airbyte").mkdir(parents=True)
    broken = project / "source-broken"
    broken.write_text(f'#!/bin/sh\ncat "$3" >&2 2>/dev/null\necho "it said {SECRET}" >&2\nexit 1\n')
    broken.chmod(0o755)
    given = {key: value for key, value in FAKER.items() if key != "requirements"}
    connection = find_connection(
        "people",
        {"people": {**given, "connector": "source-broken", "executable": str(broken)}},
        {"airbyte_people": {"api": {"token": SECRET}}},
        project,
    )
    (ENVIRONMENTS / "venv").mkdir(parents=True, exist_ok=True)
    (project / "data" / "airbyte" / "venv").symlink_to(ENVIRONMENTS / "venv")
    lock = PROJECT / "requirements-airbyte.lock"
    sync = Sync(connection, project / "data" / "airbyte", lock, LandingFolder(lake.landing))
    with pytest.raises(LakeError) as raised:
        sync.run(print)
    assert "The sync of people failed" in str(raised.value)
    assert SECRET not in str(raised.value)
    log = project / "data" / "airbyte" / "connections" / "people" / "sync.log"
    assert SECRET not in log.read_text()
    assert not lake.landing.exists()
