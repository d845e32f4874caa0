"""Landed files become raw files: once, wholly, with their origin, and in the same way however they came."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from official_schemas import errors_of_all
from tests.landing.landed_lake import LONG, LandedLake, rows

from bioreactor_lake.errors import LakeError, find_lake_error

A = rows(("A", 0, "ph", 7.0), ("A", 1, "ph", 7.1), ("B", 0, "ph", 6.9))
B = rows(("B", 5, "ph", 6.5), ("B", 6, "state", "on"))

_opened: list[str] = []


def _note_opened(event: str, arguments: Any) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        _opened.append(os.fsdecode(arguments[0]))


sys.addaudithook(_note_opened)


@pytest.fixture
def lake(tmp_path: Path) -> LandedLake:
    return LandedLake(tmp_path / "lake")


def test_files_put_there_become_raw_files_with_their_origin(lake: LandedLake) -> None:
    original = lake.put("mine/R1/a.csv", A + "2025-06-01T10:02:00Z,,ph,7\n")
    run = lake.run()
    (row,) = lake.files().values()
    sha256 = hashlib.sha256(original.read_bytes()).hexdigest()
    assert (row["path"], row["source"], row["sha256"]) == ("mine/R1/a.csv", "mine", sha256)
    assert (row["status"], row["reason"]) == ("read", None)
    assert re.fullmatch(r"mine 1\+[0-9a-f]{8}", row["reader"])
    assert (row["rows_in"], row["rows_read"], row["rows_rejected"], row["readings"]) == (4, 3, 1, 3)
    assert (row["batch_ids"], row["run_id"]) == (["A", "B"], run.run_id)
    (entry,) = lake.ledger()
    assert (entry["sha256"], entry["how"], entry["size_bytes"]) == (sha256, "found", original.stat().st_size)
    assert lake.query("SELECT path, sha256, line, reason FROM landing.rejected_lines") == [
        ("mine/R1/a.csv", sha256, 5, "it has no batch")
    ]
    assert any("Rejected: 1 lines of landed file mine/R1/a.csv" in notice for notice in run.notices)
    assert lake.readings() == [("A", "R1", 0, "ph", "7.0"), ("A", "R1", 1, "ph", "7.1"), ("B", "R1", 0, "ph", "6.9")]
    raw = pq.read_table(lake.raw / "mine" / "A.parquet")
    assert pq.ParquetFile(lake.raw / "mine" / "A.parquet").metadata.row_group(0).column(0).compression == "SNAPPY"
    origin = raw.select(["landed_file", "landed_sha256", "landed_line", "reader"]).to_pylist()
    assert origin == [
        {"landed_file": "mine/R1/a.csv", "landed_sha256": sha256, "landed_line": line, "reader": row["reader"]}
        for line in (2, 3)
    ]
    assert raw.schema.field("ts").type.tz is not None


@pytest.mark.slow
def test_what_did_not_change_is_not_opened_again(lake: LandedLake) -> None:
    lake.put("mine/a.csv", A)
    time.sleep(2.2)  # a file is trusted by its key once a change after the listing would show in it
    lake.run()
    before = lake.raw_hashes(), lake.files()
    _opened.clear()
    run = lake.run()
    assert not [name for name in _opened if name.endswith(".csv")]
    assert (lake.raw_hashes(), lake.files()) == before
    assert next(write for write in run.writes if write.table == "landing.files").batches == 0
    lake.put("mine/b.csv", B)
    _opened.clear()
    lake.run()
    assert {Path(name).name for name in _opened if name.endswith(".csv")} == {"b.csv"}
    assert lake.raw_hashes()["mine/A.parquet"] == before[0]["mine/A.parquet"]
    assert [one[2:] for one in lake.readings() if one[0] == "B"] == [
        (0, "ph", "6.9"),
        (5, "ph", "6.5"),
        (6, "state", "on"),
    ]


@pytest.mark.slow
def test_the_order_of_arrival_and_a_lost_warehouse_change_no_byte(tmp_path: Path) -> None:
    together, apart = LandedLake(tmp_path / "together"), LandedLake(tmp_path / "apart")
    for name, content in (("a", A), ("b", B), ("c", rows(("C", 1, "ph", 1)))):
        together.put(f"mine/{name}.csv", content)
    together.run()
    for name, content in (("c", rows(("C", 1, "ph", 1))), ("b", B), ("a", A)):
        apart.put(f"mine/{name}.csv", content)
        apart.run()
    assert together.raw_hashes() == apart.raw_hashes()
    apart.warehouse.unlink()
    apart.run()
    assert together.raw_hashes() == apart.raw_hashes()
    assert len(apart.ledger()) == 3


@pytest.mark.slow
def test_a_newer_version_takes_the_place_of_the_older_one(lake: LandedLake) -> None:
    lake.put("mine/a.csv", A)
    lake.run()
    lake.put("mine/a.csv", rows(("A", 1, "ph", 5), ("C", 0, "ph", 4)))
    lake.run()
    assert lake.readings() == [("A", "E", 1, "ph", "5.0"), ("C", "E", 0, "ph", "4.0")]
    assert sorted(lake.raw_hashes()) == ["mine/A.parquet", "mine/C.parquet"]
    assert sorted(lake.query("SELECT status FROM landing.files")) == [("read",), ("superseded",)]
    lake.put("mine/a.csv", "no,table\n")  # one that cannot be read says nothing of what was
    run = lake.run()
    assert len(lake.readings()) == 2
    assert "stands in none of the places" in lake.files()["mine/a.csv"]["reason"]
    assert [finding.what for finding in run.observed["quarantine"]] == ["landed file mine/a.csv"]
    lake.put("mine/a.csv", rows(("D", 0, "ph", 3)))
    assert lake.run().observed["quarantine"] == []
    assert lake.readings() == [("D", "E", 0, "ph", "3.0")]


@pytest.mark.slow
def test_a_landed_file_that_is_gone_keeps_its_rows_until_that_is_meant(lake: LandedLake) -> None:
    lake.put("mine/a.csv", A)
    b = lake.put("mine/b.csv", B)
    lake.run()
    b.unlink()
    run = lake.run()
    assert lake.files()["mine/b.csv"]["status"] == "missing"
    assert any("allow_removal" in notice for notice in run.notices)
    assert len(lake.readings()) == 5
    lake.run(allow_removal=True)
    assert len(lake.readings()) == 3
    lake.put("mine/b.csv", B)  # and back
    lake.run()
    assert len(lake.readings()) == 5
    assert lake.files()["mine/b.csv"]["status"] == "read"


@pytest.mark.slow
def test_the_same_file_under_two_names_is_read_once(lake: LandedLake) -> None:
    first = lake.put("mine/a.csv", A)
    lake.run()
    lake.put("mine/a (1).csv", A)
    lake.put("mine/R2/a.csv", A)  # another equipment: other rows
    lake.run()
    assert lake.files()["mine/a (1).csv"]["status"] == "duplicate"
    assert len(lake.readings()) == 6
    first.unlink()
    lake.run(allow_removal=True)
    assert lake.files()["mine/a (1).csv"]["status"] == "read"
    assert len(lake.readings()) == 6


@pytest.mark.slow
def test_another_version_of_the_profile_reads_all_files_again(lake: LandedLake) -> None:
    lake.put("mine/a.csv", A + "2025-06-01T10:02:00Z,,ph,7\n")
    lake.put("mine/b.csv", "time;x\n")
    lake.run()
    assert lake.query("SELECT count(*) FROM landing.rejected_lines") == [(1,)]
    lake.profile = {**LONG, "version": 2, "batch": {"value": "all"}, "tags": {"rename": {"ph": "pH"}}}
    lake.run()
    assert {one[0] for one in lake.readings()} == {"all"}
    assert lake.query("SELECT count(*) FROM landing.rejected_lines") == [(0,)]
    assert sorted(lake.raw_hashes()) == ["mine/all.parquet"]
    assert lake.files()["mine/a.csv"]["reader"].startswith("mine 2+")
    lake.warehouse.unlink()  # what the raw files hold says which of them are of older profiles
    lake.profile = LONG
    lake.run()
    assert sorted(lake.raw_hashes()) == ["mine/A.parquet", "mine/B.parquet"]


def test_what_no_profile_reads_is_quarantined_with_its_reason(lake: LandedLake) -> None:
    lake.put("mine/a.csv", A)
    lake.put("other/x.csv", "a\n")
    lake.put("loose.csv", A)
    lake.put("mine/empty.csv", "")
    lake.put("mine/.hidden.csv", A)
    lake.put("mine/b.csv.part", A)
    (lake.landing / "mine" / "link.csv").symlink_to("/etc/passwd")
    (lake.landing / "mine" / "folder").symlink_to("/etc")
    lake.run()
    reasons = {path: row["reason"] for path, row in lake.files().items() if row["status"] == "quarantined"}
    assert sorted(reasons) == ["loose.csv", "mine/empty.csv", "mine/folder", "mine/link.csv", "other/x.csv"]
    assert "kedro lake profile" in reasons["other/x.csv"]
    assert "no source's folder" in reasons["loose.csv"]
    assert "it is a link" in reasons["mine/link.csv"]
    assert len(lake.readings()) == 3


@pytest.mark.slow
def test_a_raw_file_that_is_missing_is_made_again_and_one_of_others_is_left_alone(lake: LandedLake) -> None:
    lake.put("mine/a.csv", A)
    theirs = lake.raw / "mine" / "B.parquet"
    theirs.parent.mkdir()
    theirs.write_bytes(b"theirs")
    lake.put("mine/c.csv", rows(("C", 0, "ph", 1)))
    lake.run()
    assert theirs.read_bytes() == b"theirs"
    assert "not made of landed files" in lake.files()["mine/a.csv"]["reason"]
    theirs.unlink()
    lake.run(verify=True, allow_removal=True)
    assert len(lake.readings()) == 4
    theirs.unlink()
    lake.run()
    assert len(lake.readings()) == 4


@pytest.mark.slow
def test_without_a_raw_folder_nothing_is_made(lake: LandedLake) -> None:
    lake.put("mine/a.csv", A)
    lake.raw.rmdir()
    with pytest.raises(Exception, match="raw folder") as raised:
        lake.run()
    assert isinstance(find_lake_error(raised.value), LakeError)
    assert not lake.raw.exists()


@pytest.mark.slow
def test_landing_keeps_originals_and_tells_of_them_once(lake: LandedLake, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    (folder / "R7").mkdir(parents=True)
    (folder / "R7" / "a b.csv").write_text(A)
    outcome = lake.command("lake", "land", str(folder), "--source", "mine")
    assert outcome.returncode == 0, outcome.stderr
    assert "Landed mine/exports/R7/a b.csv" in outcome.stdout
    landed = lake.landing / "mine" / "exports" / "R7" / "a b.csv"
    assert landed.read_text() == A
    assert landed.stat().st_mode & 0o222 == 0
    (folder / "R7" / "a b.csv").write_text(B)
    for expected in ("1 landed", "0 landed"):
        assert expected in lake.command("lake", "land", str(folder), "--source", "mine").stdout
    assert landed.read_text() == B
    (kept,) = (lake.landing / "mine" / ".superseded").rglob("*.csv")
    assert kept.read_text() == A
    assert [(one["how"], one["sha256"]) for one in lake.ledger()] == [
        ("landed", hashlib.sha256(content.encode()).hexdigest()) for content in (A, B)
    ]
    refused = lake.command("lake", "land", str(folder), "--source", "../up")
    assert refused.returncode == 2
    lake.run()
    assert {one[1] for one in lake.readings()} == {"R7"}
    (row,) = lake.files().values()
    assert row["arrived_by"] == lake.ledger()[1]["arrived_by"]


@pytest.mark.slow
def test_a_torn_ledger_is_gone_on_with(lake: LandedLake) -> None:
    lake.put("mine/a.csv", A)
    lake.run()
    ledger = lake.landing / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes() + b'{"path": "mine/b.c')
    lake.put("mine/b.csv", B)
    lake.run()
    good = [line for line in ledger.read_text().splitlines() if line.endswith("}")]
    assert len(good) == 2
    assert {path for path, row in lake.files().items() if row["status"] == "read"} == {"mine/a.csv", "mine/b.csv"}


@pytest.mark.slow
def test_lineage_goes_from_the_landing_zone_to_the_raw_files(lake: LandedLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "false")
    (lake.conf / "local").mkdir(exist_ok=True)
    (lake.conf / "local" / "openlineage.yml").write_text(f"file: {lake.folder / 'events.jsonl'}\n")
    lake.put("mine/a.csv", A)
    for _ in range(2):
        lake.run("ingestion")
    events = [json.loads(line) for line in (lake.folder / "events.jsonl").read_text().splitlines()]
    told = [
        (event["eventType"], *({one["name"] for one in event[side]} for side in ("inputs", "outputs")))
        for event in events
        if event["job"]["name"] == "ingestion.read_landed_files"
    ]
    zone, raw, table = str(lake.landing), str(lake.raw), "lake.landing.files"
    assert told == [
        ("START", {zone}, {table}),
        ("COMPLETE", {zone}, {table, raw}),
        ("START", {zone}, {table}),
        ("COMPLETE", {zone}, {table}),  # no raw file was written
    ]
    assert errors_of_all(events) == []
