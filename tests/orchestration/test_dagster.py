"""Dagster, without its servers: the job, retries by exit code, the schedule's tick and the sensor's."""

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from tests.increments.lake import PROJECT, Lake, environment, readings

dg = pytest.importorskip("dagster", reason="Dagster is not installed: pip install 'bioreactor-lake[dagster]'")

from bioreactor_lake.orchestration.assets import JOB, build_definitions  # noqa: E402

pytestmark = pytest.mark.slow  # the import alone takes seconds
NOBODY = "postgresql://lake:none@127.0.0.1:9/lake"


@pytest.fixture
def lake(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    lake.put("a.parquet", readings("B-1", 1))
    monkeypatch.delenv("OPENLINEAGE_DISABLED")
    monkeypatch.setenv("BIOREACTOR_LAKE_LINEAGE_FILE", str(lake.folder / "events.jsonl"))
    monkeypatch.setenv("BIOREACTOR_LAKE_ZONE", "Europe/Zurich")
    with environment(lake):
        yield lake
    lake.drop()


@pytest.fixture
def definitions(lake: Lake) -> "dg.Definitions":
    return build_definitions(PROJECT, retry_seconds=0.1)


def run(definitions: "dg.Definitions", *assets: str, **tags: str) -> "dg.ExecuteInProcessResult":
    selection = [dg.AssetKey(name.split(".")) for name in assets] or None
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def(JOB)
        return job.execute_in_process(instance=instance, raise_on_error=False, asset_selection=selection, tags=tags)


def tries(result: "dg.ExecuteInProcessResult") -> int:
    return 1 + sum(event.event_type_value == "STEP_RESTARTED" for event in result.all_events)


def test_assets_mirror_the_catalog(definitions: "dg.Definitions") -> None:
    graph = definitions.resolve_asset_graph()
    made = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert {"raw/files", "staging/stg_bioreactor", "curated/dim_batch", "marts/mart_bioreactor_overview"} <= made
    parents = {
        key.to_user_string() for key in graph.get(dg.AssetKey(["marts", "mart_bioreactor_overview"])).parent_keys
    }
    assert parents == {"curated/dim_batch", "curated/fact_bioreactor_batch_stats"}
    assert graph.get(dg.AssetKey(["raw", "files"])).parent_keys == {
        dg.AssetKey("raw_folder"), dg.AssetKey(["landing", "files"])
    }  # fmt: skip
    checks = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    assert ("curated/dim_batch", "batch_id_is_unique") in checks


def test_the_tick_of_the_schedule(definitions: "dg.Definitions") -> None:
    schedule = definitions.resolve_schedule_def("nightly")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "Europe/Zurich")
    at = datetime(2026, 7, 1, tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        tick = schedule.evaluate_tick(dg.build_schedule_context(instance=instance, scheduled_execution_time=at))
    assert len(tick.run_requests) == 1
    assert definitions.resolve_schedule_def("deadline").cron_schedule == "15 2 * * *"


def test_only_other_files_set_the_sensor_off(definitions: "dg.Definitions", lake: Lake) -> None:
    sensor = definitions.resolve_sensor_def("raw_files")

    def tick(cursor: str | None) -> tuple[int, str | None]:
        with dg.DagsterInstance.ephemeral() as instance:
            found = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))
            return len(found.run_requests), found.cursor or cursor

    first, cursor = tick(None)
    second, cursor = tick(cursor)
    lake.put("b.parquet", readings("B-2", 2))
    third, cursor = tick(cursor)
    lake.put("part.tmp", readings("B-2", 2))
    fourth, _ = tick(cursor)
    assert (first, second, third, fourth) == (1, 0, 1, 0)


def test_the_job_runs_headless(definitions: "dg.Definitions", lake: Lake) -> None:
    result = run(definitions, **{"dagster/scheduled_execution_time": "2026-07-01T00:00:00+00:00"})
    assert result.success
    made = {event.asset_key.to_user_string(): event for event in result.get_asset_materialization_events()}
    assert len(made) == 13
    overview = made["marts/mart_bioreactor_overview"].materialization
    assert overview.metadata["dagster/row_count"].value > 0
    checks = {event.check_name: event.passed for event in result.get_asset_check_evaluations()}
    assert checks["batch_id_is_unique"]
    assert not checks["newest_batch"]  # these readings are old
    events = [json.loads(line) for line in (lake.folder / "events.jsonl").read_text().splitlines()]
    (start,) = [event for event in events if event["job"]["name"] == "__default__" and event["eventType"] == "START"]
    assert start["run"]["facets"]["parent"]["run"]["runId"] == result.run_id
    assert start["run"]["facets"]["parent"]["job"] == start["run"]["facets"]["parent"]["job"] | {"name": JOB}
    assert start["run"]["facets"]["nominalTime"]["nominalStartTime"].startswith("2026-07-01T00:00:00")
    again = run(definitions, "marts.mart_bioreactor_overview")
    assert [event.asset_key.path[-1] for event in again.get_asset_materialization_events()] == [
        "mart_bioreactor_overview"
    ]


@pytest.mark.nightly
def test_a_failure_is_tried_again_until_it_passes(
    definitions: "dg.Definitions", lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path / "postgres_url"
    address.write_text(NOBODY)
    monkeypatch.setenv("BIOREACTOR_LAKE_POSTGRES_URL", "")
    monkeypatch.setenv("BIOREACTOR_LAKE_POSTGRES_URL_FILE", str(address))
    repairing = threading.Thread(target=lambda: after_first_run(lambda: address.write_text(lake.database)), daemon=True)
    repairing.start()
    result = run(definitions)
    repairing.join(5)
    assert result.success
    assert tries(result) == 2


def test_a_mistake_is_not_tried_again(definitions: "dg.Definitions", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOREACTOR_LAKE_POSTGRES_URL", "")
    monkeypatch.setenv("BIOREACTOR_LAKE_POSTGRES_URL_FILE", "/nowhere")
    result = run(definitions)
    assert not result.success
    assert tries(result) == 1
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data.metadata["exit_code"].value == 2


def after_first_run(repair: object) -> None:
    """Do something when the first `kedro run` that this process starts has ended."""
    me, seen = psutil.Process(os.getpid()), None
    while seen is None:
        running = [child for child in me.children() if is_run(child)]
        seen = running[0] if running else None
        time.sleep(0.05)
    while seen.is_running() and seen.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.02)
    assert callable(repair)
    repair()


def is_run(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[-3:] == ["-m", "kedro", "run"]
    except psutil.Error:
        return False
