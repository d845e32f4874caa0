"""The drill of docs/restore.md: warehouse and marts are lost, and built again from raw files to the same numbers."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from tests.increments.lake import MARTS, PROJECT, Lake

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.backup import restore_backup, write_backup
from bioreactor_lake.datasets.warehouse import WarehouseConfig
from bioreactor_lake.errors import LakeError, UsageError

pytestmark = pytest.mark.slow
COMMANDS = re.findall(r"^ {4}kedro (\S.*)$", (PROJECT / "docs" / "restore.md").read_text(), re.MULTILINE)
HISTORY = {
    "raw.files": "SELECT * EXCLUDE (last_seen_at) FROM raw.files",
    "quality.releases": "FROM quality.releases",
}


def kept(lake: Lake) -> dict[str, pd.DataFrame]:
    with lake.open_warehouse() as connection:
        return {name: connection.execute(f"{query} ORDER BY ALL").df() for name, query in HISTORY.items()}


def lose(lake: Lake) -> None:
    """The disk with the warehouse, and the database."""
    shutil.rmtree(lake.warehouse.parent)
    name = lake.database.rpartition("/")[2]
    with psycopg.connect(lake.server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")


def command(lake: Lake, *arguments: str, code: int = 0) -> str:
    done = lake.run_command(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_warehouse_and_marts_are_rebuilt_to_the_same_numbers(tmp_path: Path, server: str) -> None:
    lake = Lake(tmp_path / "lake", server)
    lake.checkpoints = None
    command(lake, "lake", "simulate", "--batches", "3", "--readings", "1200", "--out", str(lake.raw))
    # A lake with a past: values that fail a check and were released, a file that was replaced, one that is none.
    lake.put("odd.parquet", [("B-odd", "BR-1", "ph", datetime(2026, 1, 1, hour), 20.0) for hour in range(5)])
    lake.put("late.parquet", [("B-late", "BR-1", "ph", datetime(2026, 1, 2, hour), 7.0) for hour in range(5)])
    (lake.raw / "broken.parquet").write_bytes(b"PAR1 and no more")
    command(lake, "run", code=3)
    command(lake, "lake", "release", "B-odd", "--reason", "The probe's range was 0 to 20; it's fine")
    lake.put("late.parquet", [("B-late", "BR-1", "ph", datetime(2026, 1, 2, hour), 7.1) for hour in range(9)])
    command(lake, "run")
    before, history = lake.tables(), kept(lake)
    runs = json.loads(command(lake, "lake", "runs", "--format", "json"))
    assert {"B-odd", "B-late"} < set(before[MARTS[0]].batch_id)
    assert len(history["raw.files"]) == 7
    assert len(history["quality.releases"]) > 0

    backup = tmp_path / "backup"
    command(lake, "lake", "backup", str(backup))
    lose(lake)
    assert COMMANDS[:2] == ["lake restore FOLDER", "run"]
    for one in COMMANDS[:2]:
        command(lake, *one.replace("FOLDER", str(backup)).split())

    after = lake.tables()
    assert after.keys() == before.keys()
    for table, rows in before.items():
        pd.testing.assert_frame_equal(after[table], rows, rtol=1e-9, obj=table)
    for table, rows in kept(lake).items():
        pd.testing.assert_frame_equal(rows, history[table], obj=table)
    again = json.loads(command(lake, "lake", "runs", "--format", "json"))
    assert json.dumps(runs)[1:-1] in json.dumps(again)
    with psycopg.connect(lake.database) as connection:
        assert connection.execute("SELECT count(DISTINCT run_id) FROM marts.mart_run_history").fetchone() == (3,)
    assert "Nothing new" in command(lake, "run")
    for one, code in zip(COMMANDS[2:5], (0, 3, 0), strict=True):
        # What was released fails its checks as before.
        command(lake, *one.partition("#")[0].split(), code=code)

    # Without a backup the numbers are the same, and what was released is held again.
    lose(lake)
    command(lake, "run", code=3)
    found = lake.tables()
    for table in set(before) - {"raw.files", *MARTS}:
        pd.testing.assert_frame_equal(found[table], before[table], rtol=1e-9, obj=table)
    for table in MARTS:
        others = before[table][before[table].batch_id != "B-odd"].reset_index(drop=True)
        pd.testing.assert_frame_equal(found[table], others, rtol=1e-9, obj=table)


def test_a_backup_begins_a_warehouse_and_replaces_none(tmp_path: Path, server: str) -> None:
    lake = Lake(tmp_path / "lake", server)
    lake.put("a.parquet", [("B-1", "BR-1", "ph", datetime(2026, 1, 1), 7.0)])
    config: WarehouseConfig = {"filepath": str(lake.warehouse), "raw": {"path": str(lake.raw)}}
    backup = tmp_path / "with 'quotes'"
    with pytest.raises(LakeError, match="no warehouse"):
        write_backup(config, backup)
    lake.run()
    assert {"raw.files": 1, "ops.runs": 1}.items() <= write_backup(config, backup).items()
    with pytest.raises(UsageError, match="There is a warehouse"):
        restore_backup(config, backup)
    lake.assert_equals_fresh_build()
    identity = warehouse.identity(config)
    shutil.rmtree(lake.warehouse.parent)
    with pytest.raises(UsageError, match="holds no backup"):
        restore_backup(config, tmp_path / "nothing")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "ops.runs.parquet").write_bytes(b"PAR1")
    with pytest.raises(LakeError, match="cannot be read"):
        restore_backup(config, tmp_path / "torn")
    assert not lake.warehouse.exists()
    # The marts are still there, and are the lake's own: nothing is published again.
    restore_backup(config, backup)
    warehouse.close()
    assert warehouse.identity(config) == identity
    run = lake.run()
    assert [write.rows for write in run.writes if write.table.startswith("marts.")] == [0, 0]
    with lake.open_warehouse() as connection:
        assert connection.execute("SELECT count(*) FROM ops.runs").fetchone() == (2,)
    lake.assert_equals_fresh_build()
