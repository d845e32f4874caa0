"""Lineage of `kedro run` as people start it: processes of their own, signals, configuration, secrets, servers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from lake_with_lineage import LakeWithLineage, last_of, story
from lineage_picture import Picture
from lineage_server import LineageServer, check
from official_schemas import errors_of_all
from tests.increments.lake import PROJECT, environment_of, readings
from tests.lineage.delivery.troubled_server import LineageServer as TroubledServer

PLANTED = "pl4nt3d-s3cret"
CONFIG = f"""
namespace: acme
owners: ["team:bioprocess", {{name: "person:ada", type: STEWARD}}]
repository: https://ci:{PLANTED}@git.example.com/bio/lake.git
commit: 0123456789abcdef0123456789abcdef01234567
exposures:
  superset.overview:
    reads: [mart_bioreactor_overview, marts.mart_bioreactor_timeline]
    description: Batches and tags
    url: https://superset.example.com/dashboards/overview
    owner: team:reporting
"""


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[LakeWithLineage]:
    lake = LakeWithLineage(tmp_path / "lake", server)
    lake.put_batches(1, 2)
    yield lake
    lake.drop()


def environment(lake: LakeWithLineage, **variables: str) -> dict[str, str]:
    return os.environ | environment_of(lake) | lake.variables | {"DO_NOT_TRACK": "1", "COLUMNS": "200"} | variables


def start(lake: LakeWithLineage, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kedro", "run", *arguments]
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment(lake), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(lake: LakeWithLineage, job: str, seen: int) -> None:
    for _ in range(1200):
        if ("START", job) in story(lake.all_events()[seen:]):
            return
        time.sleep(0.05)
    raise AssertionError(f"{job} did not start")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_aborts_the_node_under_way(lake: LakeWithLineage, number: int, code: int) -> None:
    with lake.telling():
        lake.run()
    seen = len(lake.all_events())
    lake.put_batches(3)
    with psycopg.connect(lake.database) as connection:
        # A publish waits for whoever holds the mart.
        connection.execute("LOCK TABLE marts.mart_bioreactor_overview IN ACCESS EXCLUSIVE MODE")
        process = start(lake)
        try:
            wait_for(lake, "marts.build_overview", seen)
            time.sleep(0.3)
            process.send_signal(number)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    events = lake.all_events()[seen:]
    assert process.returncode == code, output
    assert story(events)[-3:] == [
        ("ABORT", "marts.build_overview"), ("ABORT", "marts"), ("ABORT", "__default__"),
    ]  # fmt: skip
    assert ("COMPLETE", "curated") in story(events)
    check(events)
    assert errors_of_all(events) == []


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "conf/local").mkdir()
    (tmp_path / "conf/local/openlineage.yml").write_text(CONFIG)
    return tmp_path / "conf"


@pytest.mark.slow
def test_configuration_names_owners_dashboards_and_the_source(lake: LakeWithLineage, conf: Path) -> None:
    done = lake.run_command("run", "--conf-source", str(conf), **lake.variables)
    assert done.returncode == 0, done.stdout + done.stderr
    events = lake.all_events()
    check(events)
    assert errors_of_all(events) == []
    assert {event["job"]["namespace"] for event in events} == {"acme"}
    overview = last_of(events, "marts.build_overview")
    owners = overview["job"]["facets"]["ownership"]["owners"]
    assert [owner["name"] for owner in owners] == ["team:bioprocess", "person:ada"]
    location = overview["job"]["facets"]["sourceCodeLocation"]
    assert location["url"] == (
        "https://git.example.com/bio/lake/blob/0123456789abcdef0123456789abcdef01234567/"
        "src/bioreactor_lake/pipelines/marts/nodes.py"
    )
    dashboard = last_of(events, "superset.overview")
    assert dashboard["job"]["facets"]["jobType"]["jobType"] == "DASHBOARD"
    assert dashboard["job"]["facets"]["ownership"]["owners"] == [{"name": "team:reporting"}]
    documentation = dashboard["job"]["facets"]["documentation"]["description"]
    assert "https://superset.example.com/dashboards/overview" in documentation
    assert [one["name"].rpartition(".")[2] for one in dashboard["inputs"]] == [
        "mart_bioreactor_overview", "mart_bioreactor_timeline",
    ]  # fmt: skip
    picture = Picture(events)
    for one in dashboard["inputs"]:
        assert picture.is_connected(lake.raw_name, (one["namespace"], one["name"]))
    assert PLANTED not in lake.file.read_text()


@pytest.mark.slow
def test_a_slip_in_the_configuration_is_named_at_once(lake: LakeWithLineage, conf: Path) -> None:
    (conf / "local/openlineage.yml").write_text("exposures: {overview: {read: [mart_bioreactor_overview]}}\n")
    done = lake.run_command("run", "--conf-source", str(conf), **lake.variables)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "The exposure overview" in done.stderr
    assert not lake.warehouse.exists()


@pytest.mark.slow
def test_errors_tell_no_secrets(lake: LakeWithLineage) -> None:
    host = lake.database.rpartition("@")[2]
    variables = lake.variables | {
        "BIOREACTOR_LAKE_POSTGRES_URL": f"postgresql://lake:{PLANTED}@{host}",
        "OPENLINEAGE_API_KEY": PLANTED,
        "SOME_TOKEN": PLANTED,
    }
    done = lake.run_command("run", **variables)
    assert done.returncode == 1
    events = lake.all_events()
    assert story(events)[-3][0] == "FAIL"
    error = last_of(events, "marts.build_overview")["run"]["facets"]["errorMessage"]
    assert "password authentication failed" in error["message"]
    for path in lake.file.parent.rglob("*"):
        assert PLANTED.encode() not in path.read_bytes()
    assert PLANTED not in done.stdout + done.stderr


@pytest.mark.slow
def test_nothing_of_it_is_imported_when_it_is_disabled(lake: LakeWithLineage) -> None:
    script = (
        "import sys; from kedro.framework.cli.cli import main\n"
        "sys.argv = ['kedro', 'run', '--pipeline', 'ingestion']\ntry: main()\n"
        "except SystemExit as end: code = end.code\n"
        "ours = 'bioreactor_lake.lineage'\n"
        "print('modules:', *(name for name in sys.modules if 'openlineage' in name or name.startswith(ours)))\n"
        "sys.exit(code)"
    )

    def modules(**variables: str) -> list[str]:
        command = [sys.executable, "-c", script]
        mine = environment(lake, **variables)
        done = subprocess.run(command, cwd=PROJECT, env=mine, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("modules:")]
        return line.split()[1:]

    # The history of runs is told by whom, of which source and without which secrets, too.
    shared = {"bioreactor_lake.lineage"} | {
        f"bioreactor_lake.lineage.{name}" for name in ("redaction", "source_code", "started_by")
    }
    assert {*modules(OPENLINEAGE_DISABLED="true")} == shared
    assert not lake.file.exists()
    told = modules()
    assert "bioreactor_lake.lineage.events" in told
    assert not [name for name in told if name.startswith("openlineage")]
    assert lake.all_events()


@pytest.mark.slow
def test_a_server_gets_every_event_in_order(lake: LakeWithLineage) -> None:
    with LineageServer() as server:
        done = lake.run_command("run", OPENLINEAGE_URL=server.url, **lake.variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "lineage" not in done.stdout.lower().replace("kedro viz run", "").replace("their lineage", "")
        assert server.problems == []
        assert story(server.events) == story(lake.all_events())


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["refuse", "hang", "500", "slow:30", "die"])
def test_a_server_in_trouble_changes_nothing_and_gets_everything_later(lake: LakeWithLineage, trouble: str) -> None:
    server = TroubledServer()
    if trouble != "refuse":
        server.behaviour = trouble
        server.start()
    try:
        done = lake.run_command("run", OPENLINEAGE_URL=server.url, **lake.variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "kedro lake lineage replay" in done.stdout
        assert len(lake.marts()["mart_bioreactor_overview"]) > 0
        if trouble == "refuse":
            server.start()
        server.behaviour = "accept"
        replay = ("lake", "lineage", "replay")
        done = lake.run_command(*replay, OPENLINEAGE_URL=server.url, **lake.variables)
        assert done.returncode == 0, done.stdout + done.stderr
        told, received = story(lake.all_events()), story(server.received)
        # One that dies may have an event that it did not answer.
        assert received[-len(told) :] == told
        assert len(received) == len(told) or trouble == "die"
        assert lake.run_command(*replay, OPENLINEAGE_URL=server.url, **lake.variables).returncode == 0
        assert len(server.received) == len(received)
    finally:
        server.stop()


@pytest.mark.slow
def test_a_fatal_check_fails_its_node_and_stops_later_layers(lake: LakeWithLineage, conf: Path) -> None:
    lake.checkpoints = True
    (conf / "local/openlineage.yml").unlink()
    (conf / "local/suites").mkdir()
    (conf / "local/suites/stg_bioreactor.yml").write_text("expectations: {values_are_physical: {severity: fatal}}\n")
    source = ("--conf-source", str(conf))
    lake.put("B-0003.parquet", [(*row[:4], 999.0) for row in readings("B-0003", 3)])
    done = lake.run_command("run", *source, **lake.variables)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "staging.stg_bioreactor fails what nothing may be built on: values_are_physical" in done.stderr
    events = lake.all_events()
    check(events)
    # Results of samples do not wait for readings: their layer may have begun, and is given up.
    failed = [one for one in story(events) if one[0] == "FAIL"]
    assert failed[-3:] == [("FAIL", "staging.stage_readings"), ("FAIL", "staging"), ("FAIL", "__default__")]
    assert lake.marts() == {}
    done = lake.run_command("run", *source, "--pipeline", "curated", **lake.variables)
    assert done.returncode == 1
    assert "staging.stg_bioreactor fails what nothing may be built on" in done.stderr
    lake.put("B-0003.parquet", readings("B-0003", 3))
    done = lake.run_command("run", *source, **lake.variables)
    assert done.returncode == 0, done.stdout + done.stderr
