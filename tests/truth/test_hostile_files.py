"""Files with nearly every fault or oddity in one folder: each is read as it must be, or set aside with a reason."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import hostile_files
import pytest
import reference
from lake_under_test import DIM, FACT, LAYERS, MARTS, REJECTS, SERIES, STAGING, Lake, NewLake
from raw_files import RawFolder

READING = ("batch_id", "equipment_id", "site", "tag", "ts", "value", "value_text", "unit", "quality", "source_file")
REJECT = (*READING[:5], "ts_text", *READING[5:], "reason")

READ_ELSEWHERE = """
import duckdb, json, sys
con = duckdb.connect(sys.argv[1], read_only=True)
con.execute("SET TimeZone = 'Asia/Tokyo'")
print(json.dumps([sorted(map(repr, con.execute(f"FROM {table}").fetchall())) for table in sys.argv[2:]]))
"""


@dataclass
class Hostile:
    folder: RawFolder
    lake: Lake


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, new_lake: NewLake) -> Hostile:
    folder = hostile_files.fill(tmp_path_factory.mktemp("it's raw [1]*"))
    return Hostile(folder, new_lake(folder.root, marts=True, **hostile_files.BERLIN).run(*LAYERS, MARTS))


def test_every_reading_is_staged_as_expected(hostile: Hostile) -> None:
    found = Counter(tuple(row[name] for name in READING) for row in hostile.lake.rows(STAGING))
    expected = Counter(tuple(getattr(reading, name) for name in READING) for reading in hostile.folder.readings)
    assert found - expected == expected - found == Counter()


def test_every_reject_is_kept_with_its_reason(hostile: Hostile) -> None:
    found = Counter(tuple(row[name] for name in REJECT) for row in hostile.lake.rows(REJECTS))
    expected = Counter(tuple(reject.get(name) for name in REJECT) for reject in hostile.folder.rejects)
    assert found - expected == expected - found == Counter()


@pytest.mark.parametrize("table", reference.KEYS)
def test_every_number_of_every_table(hostile: Hostile, table: str) -> None:
    expected = reference.tables(hostile.folder.readings)[table]
    reference.assert_table(hostile.lake.rows(table), expected, reference.KEYS[table])


def test_bad_files_are_quarantined_with_an_actionable_reason(hostile: Hostile) -> None:
    files = hostile.lake.files()
    quarantined = {path: row["reason"] for path, row in files.items() if row["status"] == "quarantined"}
    assert quarantined.keys() == hostile.folder.quarantined.keys()
    for path, reason in hostile.folder.quarantined.items():
        assert re.search(reason, quarantined[path], re.DOTALL), (path, quarantined[path])


def test_the_manifest_counts_every_row_of_every_accepted_file(hostile: Hostile) -> None:
    readings = Counter(reading.source_file for reading in hostile.folder.readings)
    rejects = Counter(reject["source_file"] for reject in hostile.folder.rejects)
    accepted = {path: row for path, row in hostile.lake.files().items() if row["status"] == "accepted"}
    assert accepted.keys() == readings.keys() | rejects.keys()
    for path, row in accepted.items():
        own = [reading for reading in hostile.folder.readings if reading.source_file == path]
        assert (row["rows_accepted"], row["rows_rejected"]) == (readings[path], rejects[path]), path
        assert (row["batch_ids"] or []) == sorted({reading.batch_id for reading in own}), path
        assert row["ts_min"] == min((reading.ts for reading in own), default=None), path
        assert row["ts_max"] == max((reading.ts for reading in own), default=None), path
        assert row["reason"] is None


def test_the_manifest_identifies_every_file(hostile: Hostile) -> None:
    for path, row in hostile.lake.files().items():
        content = (hostile.folder.root / path).read_bytes()
        assert row["size_bytes"] == len(content)
        assert row["content_hash"] == hashlib.sha256(content).hexdigest()


def test_rows_of_the_raw_view_are_the_accepted_and_the_rejected_ones(hostile: Hostile) -> None:
    found = hostile.lake.query("SELECT source_file, count(*) AS rows FROM raw.bioreactor GROUP BY ALL")
    files = {path: row for path, row in hostile.lake.files().items() if row["status"] == "accepted"}
    assert {row["source_file"]: row["rows"] for row in found} == {
        path: row["rows_accepted"] + row["rows_rejected"] for path, row in files.items()
    }


def test_a_session_in_another_zone_and_folder_reads_the_same(hostile: Hostile, tmp_path: Path) -> None:
    tables = ("raw.bioreactor", STAGING, REJECTS, SERIES, DIM, FACT, "raw.files")
    command = [sys.executable, "-c", READ_ELSEWHERE, str(hostile.lake.warehouse), *tables]
    environment = os.environ | {"TZ": "Asia/Tokyo"}
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    here = [sorted(repr(tuple(row.values())) for row in hostile.lake.rows(table)) for table in tables]
    for table, found, expected in zip(tables, json.loads(answer.stdout), here, strict=True):
        assert found == expected, table
