"""What is kept of a run, however it ends: in the warehouse, and beside the marts."""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest
from kedro.framework.project import settings
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from recorded import held, ids, nodes, published, published_runs, recorded, start, statuses, wait_until, waiting
from tests.increments.lake import PROJECT, Lake, environment, readings
from tests.increments.variants import in_place

from bioreactor_lake.datasets.history_reading import find_run, find_runs
from bioreactor_lake.errors import LockedError
from bioreactor_lake.settings import HOOKS

NOWHERE = "postgresql://lake:hunter2-secret@127.0.0.1:1/lake"
REFUSED = "password authentication failed"


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    lake.checkpoints = None
    lake.put("a.parquet", readings("B-1", 1))
    lake.put("b.parquet", readings("B-2", 2))
    yield lake
    lake.drop()


def config(lake: Lake) -> dict[str, str]:
    return {"filepath": str(lake.warehouse)}


@pytest.mark.slow
def test_runs_are_added_and_never_changed(lake: Lake) -> None:
    first = lake.run()
    (run,) = recorded(lake)
    assert (run["run_id"], run["status"], run["error"]) == (first.run_id, "completed", None)
    assert run["rows"] == sum(write.rows for write in first.writes if write.rows and write.batches)
    assert run["batches"] == 2
    assert json.loads(run["versions"])["duckdb"] == "1.5.5"
    assert "reading" in json.loads(run["parameters"])
    assert run["started_at"] < run["ended_at"] <= run["recorded_at"]
    found = nodes(lake, run)
    layers = [one["pipeline"] for one in found.values()]
    assert Counter(layers) == {"ingestion": 5, "staging": 2, "curated": 4, "marts": 2}
    assert (layers[0], layers[-1]) == ("ingestion", "marts")
    size = sum(path.stat().st_size for path in lake.content())
    assert (found["inspect_raw_files"]["bytes"], found["describe_batches"]["bytes"]) == (size, size)
    assert found["describe_batches"]["table_name"] == "curated.dim_batch"
    assert (found["describe_batches"]["rows"], found["describe_batches"]["batches"]) == (2, 2)
    assert found["stage_readings"]["rows"] is None
    assert found["build_overview"]["reason"] == "it was not published yet"
    shown = published(lake)
    assert {row["node"]: row["node_rows"] for row in shown} == {name: one["rows"] for name, one in found.items()}
    assert {(row["run_id"], row["status"], row["rows"]) for row in shown} == {(first.run_id, "completed", run["rows"])}
    before = recorded(lake), recorded(lake, "node_runs"), shown

    lake.run()
    lake.put("a.parquet", readings("B-1", 3))
    lake.run_batches("B-1", verify=True)
    lake.run("curated", "marts")
    assert statuses(lake) == ["completed", "nothing_to_do", "completed", "nothing_to_do"]
    assert [json.loads(run["asked"]) for run in recorded(lake)] == [
        {}, {}, {"parameters": {"verify": True}, "batches": ["B-1"]}, {"pipelines": ["curated", "marts"]},
    ]  # fmt: skip
    after = recorded(lake), recorded(lake, "node_runs"), published(lake)
    assert [rows[: len(earlier)] for rows, earlier in zip(after, before, strict=True)] == list(before)
    assert published_runs(lake) == ids(lake)
    assert waiting(lake) == []
    lake.assert_equals_fresh_build()


@pytest.mark.parametrize(
    "node",
    [
        *(
            pytest.param(node, marks=pytest.mark.slow)
            for node in ("ingestion.inspect_raw_files", "staging.stage_readings", "curated.describe_batches")
        ),
        "marts.build_overview",
    ],
)
def test_a_failure_in_any_layer_is_kept_with_its_node(lake: Lake, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_PASSWORD", "pl4nted")

    def fails(*inputs: object) -> object:
        raise RuntimeError("it broke with pl4nted\nand more")

    lake.logic[node] = fails
    with pytest.raises(RuntimeError):
        lake.run()
    lake.logic.clear()
    lake.run()
    (failed, mended) = recorded(lake)
    assert (failed["status"], failed["error"]) == ("failed", "RuntimeError: it broke with [hidden]")
    found = list(nodes(lake, failed).values())
    assert (found[-1]["status"], found[-1]["error"]) == ("failed", failed["error"])
    assert f"{found[-1]['pipeline']}.{found[-1]['node']}" == node
    assert {one["status"] for one in found[:-1]} <= {"completed", "nothing_to_do"}
    assert mended["status"] == "completed"
    assert published_runs(lake) == ids(lake)


def test_no_raw_file_is_nothing_to_do_and_a_refused_command_is_no_run(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="B-9"):
        lake.run_batches("B-9", pipelines=("marts",))
    assert waiting(lake) == []
    lake.raw = tmp_path / "empty"
    lake.raw.mkdir()
    with pytest.raises(Exception, match="No raw file"):
        lake.run()
    (run,) = recorded(lake)
    assert run["status"] == "nothing_to_do"
    assert "No raw file" in run["error"]


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [
        (signal.SIGTERM, 143, "interrupted"),
        pytest.param(signal.SIGKILL, -9, "killed", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_a_signal_ended_is_kept(lake: Lake, number: int, code: int, status: str) -> None:
    lake.run()
    lake.put("b.parquet", readings("B-2", 4))
    with psycopg.connect(lake.database) as connection:
        connection.execute("LOCK TABLE marts.mart_bioreactor_overview IN ACCESS EXCLUSIVE MODE")
        process = start(lake)
        try:
            wait_until(lake, '"node": "build_overview"')
            with pytest.raises(LockedError, match=f"PID {process.pid}"):
                find_runs(config(lake), limit=5)
            process.send_signal(number)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code, output
    # Before any other run, it is seen as what it was.
    assert [run.status for run in find_runs(config(lake), limit=5)] == [status, "completed"]
    lake.run()
    run = recorded(lake)[1]
    found = nodes(lake, run)
    assert run["status"] == found["build_overview"]["status"] == status
    assert found["describe_batches"]["status"] == "completed"
    assert (run["error"] is None) == (status == "interrupted")
    assert statuses(lake)[2:] == ["completed"]
    assert published_runs(lake) == ids(lake)
    assert waiting(lake) == []


def interrupt(stg_bioreactor: object, batch_sheets: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_in_a_notebook_the_run_after_an_interrupted_one_is_kept(lake: Lake) -> None:
    def run() -> None:
        bootstrap_project(PROJECT)
        with environment(lake), KedroSession.create(project_path=PROJECT, save_on_close=False) as session:
            session.run()

    with in_place({"curated.describe_batches": interrupt}), pytest.raises(KeyboardInterrupt):
        run()
    run()
    assert statuses(lake) == ["interrupted", "completed"]
    assert len(nodes(lake, recorded(lake)[1])) == 13


def test_a_run_that_holds_batches_says_so(lake: Lake) -> None:
    lake.put("b.parquet", [(*row[:4], 99.0) for row in readings("B-2", 2)])
    assert list(lake.run().held) == ["B-2"]
    assert list(lake.run().held) == ["B-2"]
    assert statuses(lake) == ["held", "held"]


@pytest.mark.slow
def test_a_run_that_waits_is_no_killed_one(lake: Lake) -> None:
    lake.run()
    with held(lake):
        process = start(lake)
        wait_until(lake, '"node": "read_landed_files"')
        with pytest.raises(Exception, match="stayed locked"):
            lake.run(run={"lock_timeout_seconds": 0.1})
        assert len(waiting(lake)) == 2
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert statuses(lake) == ["completed", "nothing_to_do", "failed"]
    assert "stayed locked for 0.1 s" in recorded(lake)[2]["error"]
    assert waiting(lake) == []


def with_password(url: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://lake:{password}@{rest.rpartition('@')[2]}"


@pytest.mark.parametrize("address", ["refuses", pytest.param("is down", marks=pytest.mark.slow)])
def test_postgres_is_caught_up_with_when_it_is_there_again(lake: Lake, address: str) -> None:
    reachable = lake.database
    lake.database = NOWHERE if address == "is down" else with_password(reachable, "wrong")
    lake.run("ingestion")  # without a look at Postgres
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1/lake|" + REFUSED):
        lake.run()
    lake.database = reachable
    assert published(lake) == []
    lake.run("marts")
    assert statuses(lake) == ["completed", "failed", "completed"]
    assert published_runs(lake) == ids(lake)


@pytest.mark.slow
def test_a_locked_history_holds_up_no_run_for_long(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    lake.run()
    with psycopg.connect(lake.database) as connection:
        connection.execute("LOCK TABLE marts.mart_run_history IN ACCESS EXCLUSIVE MODE")
        lake.run()
    assert "marts.mart_run_history" in caplog.text
    assert len(published_runs(lake)) == 1
    lake.run()
    assert published_runs(lake) == ids(lake)
    assert len(ids(lake)) == 3


@pytest.mark.slow
def test_the_mart_keeps_grants_and_views_and_is_described(lake: Lake) -> None:
    lake.run()
    with psycopg.connect(lake.database, autocommit=True) as connection:
        connection.execute("CREATE VIEW public.mine AS SELECT run_id, status FROM marts.mart_run_history")
        connection.execute("GRANT SELECT ON marts.mart_run_history TO pg_monitor")
        lake.run()
        (grants,) = connection.execute(
            "SELECT relacl::text FROM pg_class WHERE oid = 'marts.mart_run_history'::regclass"
        ).fetchone()
        assert "pg_monitor=r" in grants
        assert connection.execute("SELECT count(DISTINCT run_id) FROM public.mine").fetchone() == (2,)
        (undescribed,) = connection.execute(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'marts.mart_run_history'::regclass AND attnum >= 0 "
            "AND col_description(attrelid, attnum) IS NULL"
        ).fetchone()
        assert undescribed == 0
        indexed = connection.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'mart_run_history'").fetchall()
        assert any("(started_at)" in text for (text,) in indexed)
        # A restored or new database gets all of it, one with a gap of today gets what it lacks.
        connection.execute("DELETE FROM marts.mart_run_history WHERE run_id = %s", [ids(lake)[0]])
        lake.run()
        assert published_runs(lake) == ids(lake)
        with duckdb.connect(lake.warehouse) as warehouse:
            warehouse.execute("UPDATE ops.runs SET recorded_at = recorded_at - INTERVAL 30 DAY")
        connection.execute("DROP TABLE marts.mart_run_history CASCADE")
        lake.run()
        assert published_runs(lake) == ids(lake)
        connection.execute("UPDATE marts.mart_run_history SET recorded_at = recorded_at + INTERVAL '1 year'")
        lake.run()
        assert published_runs(lake) == ids(lake)
        connection.execute("UPDATE lake.identity SET lake_id = 'another'")
    with pytest.raises(Exception, match="another lake"):
        lake.run()
    assert published_runs(lake) == ids(lake)[:-1]


def test_secrets_are_nowhere(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "pl4nted-token")
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", "pl4nted-token/nightly/0190d3a0-0000-7000-8000-000000000001")
    overview = {"min_readings": 1, "max_null_fraction": 1.0, "excluded_tags": ["pl4nted-token", "pl4nted-inner"]}
    lake.run(overview=overview, timeline={"tags": [], "batches_since": None, "note": "postgresql://u:pl4nted-pw@h/d"},
             run={"lock_timeout_seconds": 60, "password": "pl4nted-named", "limit": float("nan")})  # fmt: skip
    reachable, lake.database = lake.database, with_password(lake.database, "hunter2-secret")
    with pytest.raises(Exception, match=REFUSED):
        lake.run("marts")
    lake.database = reachable
    (run, *_) = recorded(lake)
    assert json.loads(run["parameters"])["run"] == {
        "lock_timeout_seconds": 60, "password": "[hidden]", "limit": "nan",
    }  # fmt: skip
    assert run["started_by"] == "[hidden]/nightly"
    told = json.dumps([recorded(lake), recorded(lake, "node_runs"), published(lake)], default=str)
    told += find_run(config(lake), run["run_id"]).to_json()
    for secret in ("pl4nted-token", "pl4nted-pw", "pl4nted-named", "hunter2-secret"):
        assert secret not in told
        assert secret.encode() not in lake.warehouse.read_bytes()
    assert "pl4nted-inner" in told  # no secret: so that the test would see one


def test_a_run_from_a_scheduler_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", "airflow/nightly.lake/0190d3a0-0000-7000-8000-000000000001")
    monkeypatch.setenv("BIOREACTOR_LAKE_COMMIT", "0123abcd")
    lake.run("ingestion")
    (run,) = recorded(lake)
    assert run["started_by"] == "airflow/nightly.lake"
    assert run["user_name"]
    assert json.loads(run["versions"])["commit"] == "0123abcd"


@pytest.mark.slow
def test_it_does_not_matter_in_which_order_hooks_are_called(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.run()
    reversed_hooks = tuple(type(one)() for one in reversed(HOOKS))
    monkeypatch.setattr("bioreactor_lake.settings.HOOKS", reversed_hooks)
    lake.run()
    assert list(reversed_hooks) == list(settings.HOOKS)
    assert statuses(lake) == ["completed", "nothing_to_do"]
    assert len(nodes(lake, recorded(lake)[1])) == 13
    assert published_runs(lake) == ids(lake)


def test_what_is_beside_the_warehouse_and_is_no_run_stops_nothing(lake: Lake) -> None:
    folder = lake.warehouse.with_name("lake.runs")
    folder.mkdir(parents=True)
    (folder / "0.json").write_text("{torn")
    (folder / "1.json").write_text('{"run_id": "x", "started_at": "2026-01-01T00:00:00+00:00", "nodes": [], "rows": 1}')
    lake.run()
    assert statuses(lake) == ["completed"]


@pytest.mark.slow
def test_where_nothing_can_be_kept_the_run_goes_on(lake: Lake) -> None:
    lake.warehouse.with_name("lake.runs").parent.mkdir(parents=True)
    lake.warehouse.with_name("lake.runs").touch()
    lake.run()
    assert statuses(lake) == ["completed"]


@pytest.mark.slow
def test_a_run_that_a_full_disk_ended_is_added_when_there_is_room(lake: Lake) -> None:
    lake.checkpoints = False
    folder = lake.warehouse.parent
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk takes the right to mount a tmpfs")
    try:
        lake.run()
        for number in range(4):
            lake.put(f"{number}.parquet", readings(f"B-{number}", 20 + number, count=600))
        with (folder / "filler").open("wb", buffering=0) as filler:
            filler.write(bytes(shutil.disk_usage(folder).free - 32_768))
        done = lake.run_command("run")
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        (folder / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
        lake.run()
        assert statuses(lake) == ["completed", "failed", "completed"]
        assert "No space left on device" in recorded(lake)[1]["error"]
        assert waiting(lake) == []
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_kill_at_any_moment_of_the_end_neither_loses_nor_doubles_a_run(lake: Lake) -> None:
    lake.run()
    # Each of them follows one that was killed at its end and takes in what that one left.
    assert lake.run_until_killed(lake.count_statements() - 12) == -signal.SIGKILL
    count = lake.count_statements()
    codes = [lake.run_until_killed(at) for at in range(count - 14, count + 1)]
    assert -signal.SIGKILL in codes, codes
    lake.run()
    assert len(set(ids(lake))) == len(ids(lake))
    assert published_runs(lake) == ids(lake)
    assert waiting(lake) == []
