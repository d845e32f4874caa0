"""What whoever is alerted gets of real runs, and what the terminal says of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from receivers import PASSWORD, TOKEN, MailServer, Webhook
from tests.history.recorded import held
from tests.increments.lake import PROJECT, Lake, environment_of, readings
from tests.increments.started import run, start


def without_prefix(subjects: list[str]) -> list[str]:
    return [subject.removeprefix("[bioreactor_lake local] ") for subject in subjects]


@pytest.mark.slow
def test_files_that_are_quarantined_and_mended(lake: Lake, webhook: Webhook) -> None:
    for name in ("bad", "worse"):
        lake.raw.joinpath(f"{name}.parquet").write_bytes(b"PAR1 and then nothing that was meant")
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    for _ in range(2):
        assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    lake.put("worse.parquet", readings("B-2", 2))
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    assert without_prefix(webhook.subjects) == ["quarantined: 2 raw files", "recovered: quarantined: worse.parquet"]
    assert "- bad.parquet: the file is cut off or damaged\n" in webhook.got[0]["message"]


@pytest.mark.slow
def test_a_batch_that_is_released_and_fails_again_is_told_again(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    lake.checkpoints = None
    lake.put("B-1.parquet", readings("B-1", 1_000))
    assert run(lake, **known)[0] == 3
    why = "the probe was calibrated"
    assert lake.run_command("lake", "release", "B-1", "--reason", why, **known).returncode == 0
    lake.put("B-1.parquet", readings("B-1", 2_000))
    assert run(lake, **known)[0] == 3
    assert without_prefix(webhook.subjects) == ["held: B-1", "recovered: held: B-1", "held: B-1"]
    assert "How: Released by " in webhook.got[1]["message"]
    assert why not in str(webhook.got)  # it may hold values


@pytest.mark.slow
def test_rows_that_are_set_aside_are_told_once_for_each_file(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    rows = readings("B-2", 2)
    lake.put("B-2.parquet", [*rows, ("", *rows[0][1:])])
    for _ in range(2):
        assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    lake.put("B-2.parquet", rows)
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    assert without_prefix(webhook.subjects) == ["rows set aside: B-2.parquet", "recovered: rows set aside: B-2.parquet"]
    assert "- B-2.parquet: 1 row is no reading\n" in webhook.got[0]["message"]


@pytest.mark.slow
def test_a_locked_warehouse_is_told_and_slips_are_not(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    code = f"import duckdb; c = duckdb.connect({str(lake.warehouse)!r}); print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    assert run(lake, "--pipeline", "ingestion", "--params", "run.lock_timeout_seconds=1", **known)[0] == 4
    holder.communicate(b"\n")
    assert run(lake, "--pipeline", "no_such_pipeline", **known)[0] == 2
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    assert without_prefix(webhook.subjects) == ["failed: the warehouse", "recovered: failed: the warehouse"]
    assert "stayed locked for 1 s" in webhook.got[0]["message"]


@pytest.mark.slow
def test_a_killed_run_tells_nobody_and_the_next_one_does(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    killed = start(lake, **known)
    assert killed.kill_after(writes=3, seconds=0) == -9
    assert webhook.got == []
    listed = lake.run_command("lake", "alerts", **known).stdout
    assert listed.startswith("failure: ")
    assert "was killed, or its machine stopped; it was last heard of at 20" in listed
    assert "told: nobody, the next run will" in listed
    assert "Nothing" not in listed
    assert run(lake, **known)[0] == 0
    first, second = without_prefix(webhook.subjects)
    assert first.startswith("failed: ")
    assert second == f"recovered: {first}"
    assert "was killed" in webhook.got[0]["message"]
    assert lake.run_command("lake", "alerts", **known).stdout == "Nothing is known to be amiss.\n"
    assert run(lake, **known)[0] == 0
    assert len(webhook.got) == 2


@pytest.mark.slow
def test_a_signal_is_told_where_nobody_sits_at_the_terminal(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    for scheduled in ("false", "true"):
        with held(lake):
            waiting = start(lake, "--pipeline", "ingestion", BIOREACTOR_LAKE_SCHEDULED=scheduled, **known)
            while "Waiting up to" not in waiting.said():
                assert waiting.process.is_alive()
                time.sleep(0.05)
            waiting.process.terminate()
            assert waiting.wait()[0] == 143
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    assert without_prefix(webhook.subjects) == ["failed: the run", "recovered: failed: the run"]
    assert "the run: It was ended by SIGTERM" in webhook.got[0]["message"]


@pytest.mark.slow
def test_dead_and_hanging_channels_cost_seconds_and_fail_nothing(lake: Lake, webhook: Webhook) -> None:
    lake.raw.joinpath("bad.parquet").write_bytes(b"PAR1 and then nothing that was meant")
    plain = time.monotonic()
    assert run(lake, "--pipeline", "ingestion")[0] == 0
    plain = time.monotonic() - plain
    webhook.delay = 60
    known = {"BIOREACTOR_LAKE_ALERTS": f"{webhook.url} json://lake:planted-hook-password@127.0.0.1:1/{TOKEN}"}
    started = time.monotonic()
    code, output = run(lake, "--pipeline", "ingestion", **known)
    assert time.monotonic() - started < plain + 8
    assert code == 0
    said = " ".join(output.split())
    assert "1 alert was not delivered yet to BIOREACTOR_LAKE_ALERTS (json):" in said
    assert "1 alert was not delivered yet to BIOREACTOR_LAKE_ALERTS 2 (json):" in said
    assert "planted" not in output
    webhook.delay = 0
    run(lake, "--pipeline", "ingestion", **known)
    assert without_prefix(webhook.subjects) == ["quarantined: bad.parquet"]


@pytest.mark.slow
def test_a_late_run_is_told_where_that_is_wanted(lake: Lake, webhook: Webhook, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    subprocess.run(["cp", "-r", PROJECT / "conf", conf], check=True)
    (conf / "local" / "alerts.yml").write_text("late_after_minutes: 90\nlake: plant 7\n")
    (conf / "local" / "credentials.yml").write_text(f"alerts:\n  night: {webhook.url}\n")
    command = ("--pipeline", "ingestion", "--conf-source", str(conf))
    assert run(lake, *command, BIOREACTOR_LAKE_NOMINAL_TIME="2026-11-23T02:00:00")[0] == 0
    assert run(lake, *command, BIOREACTOR_LAKE_NOMINAL_TIME="2099-11-23T02:00:00")[0] == 0
    assert webhook.subjects == [
        "[plant 7 local] late: the scheduled run", "[plant 7 local] recovered: late: the scheduled run",
    ]  # fmt: skip


@pytest.mark.slow
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


@pytest.mark.parametrize("channel", ["", pytest.param(f"json://127.0.0.1:1/{TOKEN}", marks=pytest.mark.slow)])
def test_a_run_that_finds_nothing_amiss_imports_nothing_for_alerts(lake: Lake, channel: str) -> None:
    code = (
        "import sys, runpy\n"
        "sys.argv = ['kedro', 'run', '--params', 'checkpoints=false']\n"
        "try: runpy.run_module('kedro', run_name='__main__')\n"
        "finally: print(sorted(name for name in sys.modules if 'alerts' in name or name == 'apprise'))"
    )
    mine = os.environ | environment_of(lake) | {"DO_NOT_TRACK": "1", "BIOREACTOR_LAKE_ALERTS": channel}
    outcome = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=mine, capture_output=True, text=True)
    # The name of its file and the group of commands; what keeps the file, where it takes its room.
    alerts = ["alerts", "alerts.state"] if channel else ["alerts"]
    expected = sorted(f"bioreactor_lake.{name}" for name in (*alerts, "cli.alerts", "hooks.alerts"))
    assert outcome.stdout.splitlines()[-1] == str(expected), outcome.stdout + outcome.stderr
    assert (lake.warehouse.parent / "alerts.sqlite").exists() is bool(channel)


@pytest.mark.slow
def test_layers_that_are_older_than_they_may_be(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    command = ("lake", "freshness", "--layer", "raw")
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    assert lake.run_command(*command, **known).returncode == 5
    now = datetime.now(UTC).replace(tzinfo=None)
    lake.put("B-2.parquet", [("B-2", "BR-1", "ph", now, 7.0)])
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    assert lake.run_command(*command, **known).returncode == 0
    assert without_prefix(webhook.subjects) == ["stale: raw", "recovered: stale: raw"]
    assert "raw: its newest reading is " in webhook.got[0]["message"]


@pytest.mark.slow
def test_a_scheduled_run_that_is_not_done_by_its_deadline(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    times = ("--start", "00:00", "--deadline", "00:01", "--zone", "UTC")
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    for _ in range(2):
        assert lake.run_command("lake", "freshness", *times, **known).returncode == 6
    assert run(lake, **known)[0] == 0
    assert lake.run_command("lake", "freshness", *times, **known).returncode == 0
    assert without_prefix(webhook.subjects) == ["late: the scheduled run", "recovered: late: the scheduled run"]
    assert "marts: no run has brought it up to date" in webhook.got[0]["message"]


@pytest.mark.slow
def test_a_warehouse_that_cannot_be_opened_is_told(lake: Lake, webhook: Webhook) -> None:
    known = {"BIOREACTOR_LAKE_ALERTS": webhook.url}
    lake.warehouse.parent.mkdir()
    lake.warehouse.write_bytes(b"this is no warehouse" * 500)
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 1
    lake.warehouse.unlink()
    assert run(lake, "--pipeline", "ingestion", **known)[0] == 0
    assert without_prefix(webhook.subjects) == ["failed: landing.files", "recovered: failed: landing.files"]
    assert "DuckDB cannot open" in webhook.got[0]["message"]
