"""`kedro lake lineage`: what waits is shown, and sent when asked."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def kedro(root: Path, environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Kedro in a copy of the project, called from a folder of it."""
    for name in ("conf", "src", "notebooks"):
        shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "local"))
    shutil.copy(PROJECT / "pyproject.toml", root)
    (root / "conf/local").mkdir()

    def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kedro", "lake", "lineage", *arguments],
            cwd=root / "notebooks",
            env=environment | {"COLUMNS": "200", "PYTHONPATH": str(root / "src")} | extra,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def found(ended: subprocess.CompletedProcess[str]) -> dict:
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout[ended.stdout.index("{") :])  # Kedro may name its logging configuration first


@pytest.mark.slow
def test_what_is_left_is_sent_by_hand(kedro, emit, server_of_events, root, journal) -> None:
    transport = {"type": "http", "url": server_of_events.url.replace("//", "//lake:hunter2@")}
    (root / "conf/local/openlineage.yml").write_text(json.dumps({"transport": transport}))
    target = f"{server_of_events.url}/api/v1/lineage"
    server_of_events.stop()
    emit({"transport": transport}, count=3)

    failed = kedro("replay")
    assert failed.returncode == 1, failed.stderr
    assert f"{target}: 0 sent, 3 left (refused the connection)" in failed.stdout

    waiting = kedro("status")
    assert f"{root}/data/lineage/events.jsonl: {journal.stat().st_size / 1000:.1f} kB" in waiting.stdout
    assert f"{target}: 3 events wait, the oldest of 2026-03-01 08:00:00" in waiting.stdout

    server_of_events.start()
    done = kedro("replay")
    assert done.returncode == 0
    assert done.stdout.endswith(f"{target}: 3 sent\n")
    assert server_of_events.numbers == [0, 1, 2]
    for each in (failed, waiting, done):
        assert "hunter2" not in each.stdout + each.stderr


@pytest.mark.slow
def test_it_says_what_it_cannot_send(kedro, emit, server_of_events, root) -> None:
    assert kedro("replay").stdout.endswith("Nothing is left to send.\n")
    assert found(kedro("status", "--format", "json")) == {
        "file": str(root / "data/lineage/events.jsonl"),
        "size_bytes": None,
        "waiting": 0,
        "problem": "no server or topic is configured",
        "targets": [],
    }
    assert not (root / "data").exists()

    server_of_events.behaviour = "400"
    emit({"transport": {"type": "http", "url": server_of_events.url}}, count=3)
    alone = kedro("replay")
    assert alone.returncode == 1
    assert "3 lineage events wait: no server or topic is configured." in alone.stderr
    off = kedro("replay", OPENLINEAGE_URL=server_of_events.url, OPENLINEAGE_DISABLED="true")
    assert off.returncode == 1
    assert "OPENLINEAGE_DISABLED turns lineage off" in off.stderr
    (target,) = found(kedro("status", "--format", "json"))["targets"]
    assert (target["configured"], target["pending"]) == (False, 3)

    refused = kedro("replay", OPENLINEAGE_URL=server_of_events.url)
    assert refused.returncode == 1
    assert "0 sent, 3 left (answered 400 Bad Request)" in refused.stdout
    assert "kedro lake lineage replay --set-aside" in refused.stdout
    aside = kedro("replay", "--set-aside", OPENLINEAGE_URL=server_of_events.url)
    assert aside.returncode == 0, aside.stderr
    assert f"0 sent, 3 refused and set aside in {root}/data/lineage/refused.jsonl" in aside.stdout
    assert len((root / "data/lineage/refused.jsonl").read_text().splitlines()) == 3


@pytest.mark.slow
def test_a_damaged_outbox_is_said(kedro, root) -> None:
    folder = root / "data/lineage"
    folder.mkdir(parents=True)
    (folder / "outbox.sqlite").write_text("no database" * 500)
    for command in ("replay", "status"):
        ended = kedro(command, OPENLINEAGE_URL="http://127.0.0.1:9")
        assert ended.returncode == 1
        assert "outbox.sqlite could not be read or written: file is not a database" in ended.stderr
        assert "Traceback" not in ended.stderr
