"""What the suites cost beside building what they are about, on some million readings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from kedro.config import OmegaConfigLoader
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from tests.increments.lake import PROJECT, Lake, environment

from bioreactor_lake.datasets.checked_tables import CheckedTables
from bioreactor_lake.quality.checks import check_table
from bioreactor_lake.quality.configuration import QualitySettings
from bioreactor_lake.settings import CONFIG_LOADER_ARGS

BATCHES, READINGS = 60, 50_000


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    with duckdb.connect() as connection:
        for number in range(BATCHES):
            connection.execute(
                f"COPY (SELECT 'B-{number:04}' AS batch_id, 'R-{number % 7}' AS equipment_id, "
                "['ph', 'do', 'temperature', 'pressure', 'weight'][i % 5 + 1] AS tag, "
                f"now()::TIMESTAMP - INTERVAL {number} HOURS + i * INTERVAL 5 SECONDS AS ts, "
                f"0.5 + i % 100 / 100 AS value FROM range({READINGS}) AS t(i)) "
                f"TO '{lake.raw}/B-{number:04}.parquet' (FORMAT parquet)"
            )
    yield lake
    lake.drop()


@pytest.mark.slow
def test_suites_cost_a_small_share_of_a_run(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.perf_counter()
    lake.run()
    run = time.perf_counter() - started
    settings = QualitySettings.load(OmegaConfigLoader(str(PROJECT / "conf"), **CONFIG_LOADER_ARGS))
    seconds = {}
    with environment(lake), KedroSession.create(project_path=PROJECT, save_on_close=False) as session:
        tables = CheckedTables(session.load_context().catalog, pipelines["__default__"])
        for name, suite in settings.suites.items():
            started = time.perf_counter()
            verdicts = check_table(tables[name], suite, tables=tables, tags=settings.tags)
            seconds[name] = time.perf_counter() - started
            assert [one for one in verdicts if not one.success and one.severity != "warn"] == []
    with capsys.disabled():
        print(f"\n{BATCHES * READINGS:,} readings, built in {run:.1f} s; checked:")
        for name, took in seconds.items():
            print(f"  {name}: {took:.2f} s, {took / run:.1%}")
        print(f"  all: {sum(seconds.values()):.2f} s, {sum(seconds.values()) / run:.1%}")
    assert sum(seconds.values()) < run
