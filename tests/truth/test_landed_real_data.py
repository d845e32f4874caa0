"""Exports of instruments, as they are, against the numbers that they came with: landed, then one `kedro run`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from tests.landing.landed_lake import LandedLake

pytestmark = pytest.mark.slow

SOURCES = {"pioreactor": "pioreactor_od", "chibio": "chibio_chemostat", "pensim": "SIMULATED_pensimpy"}


@pytest.fixture(scope="module")
def lake(
    real_data: Callable[[str], Path], server: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LandedLake, str]:
    """All three sources in one lake."""
    folders = {source: real_data(name) for source, name in SOURCES.items()}
    lake = LandedLake(tmp_path_factory.mktemp("landed") / "lake")
    name = f"lake_{uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = f"{server.rpartition('/')[0]}/{name}"
    landed = lake.command("lake", "land", str(folders["chibio"] / "240507_at_oa"), "--source", "chibio")
    assert landed.returncode == 0, landed.stderr
    for source in ("pioreactor", "pensim"):
        (lake.landing / source).mkdir()
        for path in folders[source].glob("*.csv"):
            shutil.copyfile(path, lake.landing / source / path.name)
    run = lake.command("run", BIOREACTOR_LAKE_POSTGRES_URL=url)
    assert run.returncode == 0, run.stdout + run.stderr
    return lake, url


@pytest.mark.parametrize("source", SOURCES)
def test_the_marts_hold_what_the_instruments_measured(
    lake: tuple[LandedLake, str], real_data: Callable[[str], Path], source: str
) -> None:
    here, url = lake
    truth = json.loads((real_data(SOURCES[source]) / "GROUND_TRUTH.json").read_text("utf-8"))
    with psycopg.connect(url, options="-c TimeZone=UTC") as connection:
        cursor = connection.execute(
            "SELECT * FROM marts.mart_bioreactor_overview WHERE batch_id = ANY(%s)", [truth["batches"]]
        )
        names = [column.name for column in cursor.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        buckets = connection.execute(
            "SELECT batch_id, equipment_id, tag, count(*) FROM marts.mart_bioreactor_timeline GROUP BY 1, 2, 3"
        ).fetchall()
    rows: dict[tuple[str, str, str], dict[str, Any]] = {
        (row["batch_id"], row["equipment_id"], row["tag"]): row for row in found
    }
    assert len(rows) == len(truth["tags"])
    assert sum(row["reading_count"] for row in found) == truth["rows"]
    counted = {tuple(key): count for *key, count in buckets}
    for tag in truth["tags"]:
        row = rows[tag["batch_id"], tag["equipment_id"], tag["tag"]]
        assert row["reading_count"] == tag["n"]
        assert (row["min_value"], row["max_value"]) == (tag["min"], tag["max"])
        assert row["avg_value"] == pytest.approx(tag["mean"], rel=1e-9, abs=1e-9 * max(-tag["min"], tag["max"]))
        for name in ("first_ts", "last_ts"):
            assert row[name] == datetime.fromisoformat(tag[name] + "+00:00")
        assert counted[tag["batch_id"], tag["equipment_id"], tag["tag"]] == tag["buckets_5min"]
    units = dict(
        here.query(f"SELECT DISTINCT tag, unit FROM staging.stg_bioreactor WHERE source_file LIKE '{source}/%'")
    )
    assert units == {tag["tag"]: tag["unit"] for tag in truth["tags"]}


def test_nothing_was_lost_on_the_way(lake: tuple[LandedLake, str]) -> None:
    files = lake[0].files()
    assert len(files) == 10
    assert {row["status"] for row in files.values()} == {"read"}
    assert sum(row["rows_in"] for row in files.values()) == 10_944 + 30_285 + 6_900
    assert all(row["rows_in"] == row["rows_read"] for row in files.values())
    assert lake[0].query("SELECT count(*) FROM staging.rejected_readings") == [(0,)]


@pytest.mark.parametrize(("source", "options"), [("pioreactor", ()), ("chibio", ("--under",)), ("pensim", ())])
def test_the_profile_is_found_and_shown(
    lake: tuple[LandedLake, str], real_data: Callable[[str], Path], source: str, options: tuple[str, ...]
) -> None:
    folder = real_data(SOURCES[source])
    file = sorted(folder.rglob("*.csv"))[0]
    under = [*options, str(folder / "240507_at_oa")] if options else []
    shown = lake[0].command("lake", "profile", str(file), *under)
    assert shown.returncode == 0, shown.stderr
    assert f"{source} 1 (source {source})" in shown.stdout
    assert "0 rejected" in shown.stdout


def test_a_profile_is_proposed_that_reads_the_file(
    lake: tuple[LandedLake, str], real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    import yaml

    from bioreactor_lake.pipelines.ingestion.profiles.profile_yaml import read_profile

    file = sorted(real_data("pioreactor_od").glob("*.csv"))[0]
    proposed = lake[0].command("lake", "profile", "--propose", str(file))
    assert proposed.returncode == 0, proposed.stderr
    assert "10,944 of 10,944 rows read" in proposed.stderr
    assert proposed.stdout.startswith("# Proposed from"), proposed.stdout
    assert read_profile("proposed", yaml.safe_load(proposed.stdout)).time.columns == ("timestamp",)
