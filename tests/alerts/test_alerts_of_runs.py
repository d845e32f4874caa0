"""What whoever is alerted gets of real runs, and what the terminal says of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from receivers import PASSWORD, TOKEN, MailServer, Webhook
from tests.increments.lake import PROJECT, Lake, environment_of, readings

NOBODY = "postgresql://lake:planted-database-password@127.0.0.1:1/lake"
ONCE = ("--params", "retries.attempts=1")


def without_prefix(subjects: list[str]) -> list[str]:
    return [subject.removeprefix("[bioreactor_lake local] ") for subject in subjects]


@pytest.mark.slow
def test_a_failure_is_told_once_and_so_is_its_end(lake: Lake, webhook: Webhook, mail: MailServer) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": f"{webhook.url} {mail.url}"}
    for _ in range(2):
        outcome = lake.run_command("run", *ONCE, BIOREACTOR_LAKE_POSTGRES_URL=NOBODY, **known)
        assert outcome.returncode == 1
    failed = "failed: marts.mart_bioreactor_overview"
    assert without_prefix(webhook.subjects) == without_prefix(mail.subjects) == [failed]
    text = webhook.got[0]["message"]
    assert "Publishing marts.mart_bioreactor_overview to 127.0.0.1:1/lake failed" in text
    assert "Kept: The warehouse is valid and the old mart is in place." in text
    assert "Next: Check that Postgres is up and reachable" in text
    assert str(lake.warehouse) in text
    listed = lake.run_command("lake", "alerts", **known)
    assert listed.stdout.startswith("failure: marts.mart_bioreactor_overview: Publishing")
    assert "told: BIOREACTOR_LAKE_ALERTS, BIOREACTOR_LAKE_ALERTS 2" in listed.stdout
    for _ in range(2):
        assert lake.run_command("run", **known).returncode == 0
    assert without_prefix(webhook.subjects) == without_prefix(mail.subjects) == [failed, f"recovered: {failed}"]
    assert "Nothing is known to be amiss." in lake.run_command("lake", "alerts", **known).stdout
    files = [path for path in lake.warehouse.parent.rglob("*") if path.is_file() and path.suffix != ".duckdb"]
    kept = [path.read_bytes().decode("latin-1") for path in files]
    for secret in (PASSWORD, TOKEN, "planted-hook-password", "planted-database-password"):
        for place in (outcome.stdout, outcome.stderr, listed.stdout, str(webhook.got), *map(str, mail.got), *kept):
            assert secret not in place


@pytest.mark.slow
def test_files_that_are_quarantined_and_mended(lake: Lake, webhook: Webhook) -> None:
    for name in ("bad", "worse"):
        lake.raw.joinpath(f"{name}.parquet").write_bytes(b"PAR1 and then nothing that was meant")
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    for _ in range(2):
        assert lake.run_command("run", "--pipeline", "ingestion", **known).returncode == 0
    lake.put("worse.parquet", readings("B-2", 2))
    assert lake.run_command("run", "--pipeline", "ingestion", **known).returncode == 0
    assert without_prefix(webhook.subjects) == ["quarantined: 2 raw files", "recovered: quarantined: worse.parquet"]
    assert "- bad.parquet: the file is cut off or damaged\n" in webhook.got[0]["message"]


@pytest.mark.slow
def test_nothing_to_ingest_and_then_something(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    file = lake.raw / "B-1.parquet"
    file.rename(lake.folder / "away")
    for _ in range(2):
        assert lake.run_command("run", "--pipeline", "ingestion", **known).returncode == 0
    (lake.folder / "away").rename(file)
    assert lake.run_command("run", "--pipeline", "ingestion", **known).returncode == 0
    assert without_prefix(webhook.subjects) == [
        "nothing to ingest: the raw files", "recovered: nothing to ingest: the raw files",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_locked_warehouse_is_told_and_slips_are_not(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    assert lake.run_command("run", "--pipeline", "ingestion", **known).returncode == 0
    code = f"import duckdb; c = duckdb.connect({str(lake.warehouse)!r}); print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    outcome = lake.run_command("run", "--pipeline", "ingestion", "--params", "run.lock_timeout_seconds=1", **known)
    assert outcome.returncode == 4
    holder.communicate(b"\n")
    assert lake.run_command("run", "--pipeline", "no_such_pipeline", **known).returncode == 2
    assert lake.run_command("run", "--pipeline", "ingestion", **known).returncode == 0
    assert without_prefix(webhook.subjects) == ["failed: the warehouse", "recovered: failed: the warehouse"]
    assert "stayed locked for 1 s" in webhook.got[0]["message"]


@pytest.mark.slow
def test_dead_and_hanging_channels_cost_seconds_and_fail_nothing(lake: Lake, webhook: Webhook) -> None:
    lake.raw.joinpath("bad.parquet").write_bytes(b"PAR1 and then nothing that was meant")
    plain = time.monotonic()
    assert lake.run_command("run", "--pipeline", "ingestion").returncode == 0
    plain = time.monotonic() - plain
    webhook.delay = 60
    known = {"BIOREACTOR_LAKE_ALERTS": f"{webhook.url} json://lake:planted-hook-password@127.0.0.1:1/{TOKEN}"}
    started = time.monotonic()
    outcome = lake.run_command("run", "--pipeline", "ingestion", **known)
    assert time.monotonic() - started < plain + 8
    assert outcome.returncode == 0
    said = " ".join(outcome.stdout.split())
    assert "1 alert was not delivered yet to BIOREACTOR_LAKE_ALERTS (json):" in said
    assert "1 alert was not delivered yet to BIOREACTOR_LAKE_ALERTS 2 (json):" in said
    assert TOKEN not in outcome.stdout + outcome.stderr
    assert "planted-hook-password" not in outcome.stdout + outcome.stderr
    webhook.delay = 0
    lake.run_command("run", "--pipeline", "ingestion", **known)
    assert without_prefix(webhook.subjects) == ["quarantined: bad.parquet"]


@pytest.mark.slow
def test_a_late_run_is_told_where_that_is_wanted(lake: Lake, webhook: Webhook, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    subprocess.run(["cp", "-r", PROJECT / "conf", conf], check=True)
    (conf / "local" / "alerts.yml").write_text("late_after_minutes: 90\nlake: plant 7\n")
    (conf / "local" / "credentials.yml").write_text(f"alerts:\n  night: {webhook.url}\n")
    command = ("run", "--pipeline", "ingestion", "--conf-source", str(conf))
    assert lake.run_command(*command, BIOREACTOR_LAKE_NOMINAL_TIME="2026-11-23T02:00:00").returncode == 0
    assert lake.run_command(*command, BIOREACTOR_LAKE_NOMINAL_TIME="2099-11-23T02:00:00").returncode == 0
    assert webhook.subjects == [
        "[plant 7 local] late: the scheduled run", "[plant 7 local] recovered: late: the scheduled run",
    ]  # fmt: skip


def test_the_command_sends_a_test_to_each_channel(lake: Lake, webhook: Webhook, mail: MailServer) -> None:
    wrong = mail.url.replace(PASSWORD, "planted-other-password")
    outcome = lake.run_command("lake", "alerts", "test", BIOREACTOR_LAKE_ALERTS=f"{webhook.url} {mail.url} {wrong}")
    assert outcome.returncode == 1
    lines = outcome.stdout.splitlines()
    assert lines[0].startswith("BIOREACTOR_LAKE_ALERTS (json): delivered")
    assert lines[1].startswith("BIOREACTOR_LAKE_ALERTS 2 (mailto): delivered")
    assert lines[2].startswith("BIOREACTOR_LAKE_ALERTS 3 (mailto): failed: ")
    assert "planted" not in outcome.stdout + outcome.stderr
    assert without_prefix(webhook.subjects) == ["test: nothing is amiss, this channel works"]
    nobody = lake.run_command("lake", "alerts", "test", BIOREACTOR_LAKE_ALERTS="")
    assert nobody.returncode == 2
    assert "conf/local/credentials.yml" in nobody.stderr


def test_a_run_that_finds_nothing_amiss_imports_nothing_for_alerts(lake: Lake) -> None:
    code = (
        "import sys, runpy\n"
        "sys.argv = ['kedro', 'run', '--pipeline', 'ingestion']\n"
        "try: runpy.run_module('kedro', run_name='__main__')\n"
        "finally: print(sorted(name for name in sys.modules if 'alerts' in name or name in ('apprise', 'sqlite3')))"
    )
    mine = os.environ | environment_of(lake) | {"DO_NOT_TRACK": "1", "BIOREACTOR_LAKE_ALERTS": ""}
    outcome = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=mine, capture_output=True, text=True)
    assert outcome.stdout.splitlines()[-1] == "['bioreactor_lake.alerts', 'bioreactor_lake.cli.alerts']", (
        outcome.stdout + outcome.stderr
    )
    assert not (lake.warehouse.parent / "alerts.sqlite").exists()


@pytest.mark.slow
def test_a_warehouse_that_cannot_be_opened_is_told(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    lake.warehouse.parent.mkdir()
    lake.warehouse.write_bytes(b"this is no warehouse" * 500)
    assert lake.run_command("run", "--pipeline", "ingestion", **known).returncode == 1
    lake.warehouse.unlink()
    assert lake.run_command("run", "--pipeline", "ingestion", **known).returncode == 0
    assert without_prefix(webhook.subjects) == ["failed: raw.files", "recovered: failed: raw.files"]
    assert "DuckDB cannot open" in webhook.got[0]["message"]
