"""The log of real runs: in a container, on a terminal, in the file; and the statements of the embedded server."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.increments.lake import PROJECT, Lake, environment_of, readings

from bioreactor_lake.postgres.cluster import log_settings
from bioreactor_lake.postgres.embedded import EmbeddedServer

pytestmark = pytest.mark.slow
RUN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def make_lake(tmp_path: Path, server: str) -> Lake:
    lake = Lake(tmp_path / "lake", server)
    for seed in (1, 2):
        lake.put(f"B-{seed}.parquet", readings(f"B-{seed}", seed))
    return lake


def on_terminal(command: list[str], environment: dict[str, str], cwd: Path = PROJECT) -> str:
    """What a command shows on a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=follower, stderr=follower, stdin=follower)
    os.close(follower)
    shown = b""
    while True:
        ready, _, _ = select.select([leader], [], [], 1)
        if ready:
            try:
                shown += os.read(leader, 65536)
            except OSError:
                break
        elif process.poll() is not None:
            break
    process.wait()
    os.close(leader)
    return shown.decode(errors="replace")


def test_a_run_in_a_container_says_json_and_the_file_has_the_sql(tmp_path: Path, server: str) -> None:
    lake = make_lake(tmp_path, server)
    log = Path(os.environ["BIOREACTOR_LAKE_LOG_FILE"])
    ran = lake.run_command("run", BIOREACTOR_LAKE_LOG="json")
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in (ran.stdout + ran.stderr).splitlines()]
    (run_id,) = {line["run_id"] for line in lines}
    newest = json.loads(lake.run_command("lake", "runs", "--limit", "1", "--format", "json").stdout)
    assert run_id in json.dumps(newest)
    # One line per node, with its figures.
    done = {line["node"]: line for line in lines if "table" in line}
    assert len(done) == len([line for line in lines if "table" in line]) == 13
    assert {"rows": 2, "batches": 2}.items() <= done["describe_batches"].items()
    assert all(line["seconds"] > 0 for line in done.values())

    written = [line for line in log.read_text().splitlines() if run_id in line]
    sql = [line for line in written if "SQL: SELECT" in line]
    assert len(sql) == 11  # each once; what is found by inspection is no expression
    assert any("describe_batches" in line and "GROUP BY" in line for line in sql)
    password = psycopg.conninfo.conninfo_to_dict(server)["password"]
    assert password not in log.read_text() + ran.stdout + ran.stderr

    failed = lake.run_command(
        "run", BIOREACTOR_LAKE_LOG="json", BIOREACTOR_LAKE_POSTGRES_URL="postgresql://lake:hunter2-x@127.0.0.1:1/lake"
    )
    assert failed.returncode == 1
    last = [json.loads(line) for line in (failed.stdout + failed.stderr).splitlines()][-1]
    assert last["level"] == "ERROR"
    assert "127.0.0.1:1/lake" in last["message"]
    assert "hunter2" not in failed.stdout + failed.stderr + log.read_text()
    held = json.loads(lake.run_command("lake", "status", "--format", "json", BIOREACTOR_LAKE_LOG="json").stdout)
    assert held


def test_a_terminal_has_the_run_in_short_and_colours(tmp_path: Path, server: str) -> None:
    lake = make_lake(tmp_path, server)
    mine = os.environ | environment_of(lake) | {"DO_NOT_TRACK": "1", "COLUMNS": "160", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "kedro", "run", "--params", "checkpoints=false"]
    shown = on_terminal(command, mine | {"BIOREACTOR_LAKE_LOG": "json"})
    assert "\x1b[" in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    lines = [line for line in plain.splitlines() if "Wrote" in line or "Published" in line]
    assert len(lines) == 13
    assert len({re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", line)[0] for line in lines}) == 1
    assert not RUN_ID.search(plain)
    assert "SELECT" not in plain


SLOW_STEP = """
import logging, sys, time
from kedro.framework.project import LOGGING
from bioreactor_lake.logs.handlers import set_up_console
from bioreactor_lake.logs.progress import step
set_up_console()
logging.getLogger("bioreactor_lake").setLevel("INFO")
with step("quick_node"):
    time.sleep(0.5)
with step("slow_node", lambda: 42.0):
    time.sleep(4)
    logging.getLogger("bioreactor_lake").info("said meanwhile")
    with step("inner_node"):
        time.sleep(3.6)
print("the end")
"""


def test_a_step_of_more_than_three_seconds_has_a_bar_on_a_terminal_only() -> None:
    mine = os.environ | {"PYTHONPATH": str(PROJECT / "src"), "TERM": "xterm-256color", "COLUMNS": "100"}
    shown = on_terminal([sys.executable, "-c", SLOW_STEP], mine)
    assert "slow_node" in shown
    assert "42 % of this query" in shown
    assert "inner_node" in shown
    assert "quick_node" not in shown
    assert "said meanwhile" in shown
    assert shown.rstrip().endswith("the end")
    piped = subprocess.run(
        [sys.executable, "-c", SLOW_STEP], cwd=PROJECT, env=mine, capture_output=True, text=True, check=True
    )
    assert "_node" not in piped.stdout + piped.stderr
    assert "said meanwhile" in piped.stdout


def test_the_statement_log_of_the_embedded_server_can_be_turned_on(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "postgres.log"
    tmp_path.chmod(0o755)
    with EmbeddedServer(tmp_path / "postgres", log_file=log) as url, psycopg.connect(url) as connection:
        connection.execute("SELECT 'said quietly'")
    assert "said quietly" not in log.read_text()
    with (
        EmbeddedServer(tmp_path / "postgres", options=log_settings("all"), log_file=log) as url,
        psycopg.connect(url, application_name="dashboard") as connection,
    ):
        connection.execute("SELECT 'said aloud'")
        assert re.search(r"lake@lake dashboard: LOG: .*said aloud", log.read_text())
        assert log.stat().st_mode & 0o077 == 0
        # A long one is begun anew under the server, by the next process that comes.
        with log.open("a") as file:
            file.write("x" * 10_000_001)
        with EmbeddedServer(tmp_path / "postgres", log_file=log):
            assert log.stat().st_size < 1_000
        assert "said aloud" in log.with_name("postgres.log.1").read_text()
        connection.execute("SELECT 'said later'")
        assert "said later" in log.read_text()
    password = (tmp_path / "postgres" / "password").read_text().strip()
    assert password not in log.read_text() + log.with_name("postgres.log.1").read_text()
    shutil.rmtree(tmp_path / "logs")
