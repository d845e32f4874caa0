"""Real processes that emit, and real servers that take events or do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from troubled_server import LineageServer

HERE = Path(__file__).parent
SOURCES = HERE.parents[2] / "src"
# A sender that has its answer ends at once. Where the machine is busy its start alone may take longer than a run waits.
PATIENT = {"seconds": 20}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One that nothing of this machine's own lineage configuration gets into."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OPENLINEAGE", "DD_"))}
    home = tmp_path / "home"
    home.mkdir()
    return own | {"HOME": str(home), "PYTHONPATH": str(SOURCES), "DO_NOT_TRACK": "1"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def start_emitting(root: Path, environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that emits events; it is ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(config: dict, first: int = 0, count: int = 3, pause: float = 0.0, **extra: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "emit_events.py"), str(root), str(first), str(count), str(pause)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | extra,
        )
        started.append(process)
        process.stdin.write(json.dumps(PATIENT | config) + "\n")
        process.stdin.flush()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def emit(start_emitting) -> Callable[..., dict[str, Any]]:
    """Emits events from a process of its own and returns what it said at its end."""

    def run(config: dict, **options: Any) -> dict[str, Any]:
        out, err = start_emitting(config, **options).communicate(timeout=60)
        assert not err
        return json.loads(out.splitlines()[-1])

    return run


@pytest.fixture
def new_server() -> Iterator[Callable[[], LineageServer]]:
    servers: list[LineageServer] = []

    def start() -> LineageServer:
        servers.append(LineageServer().start())
        return servers[-1]

    yield start
    for each in servers:
        each.stop()


@pytest.fixture
def server_of_events(new_server) -> LineageServer:
    return new_server()


@pytest.fixture
def journal(root: Path) -> Path:
    return root / "data" / "lineage" / "events.jsonl"


@pytest.fixture
def replay(root: Path, environment: dict[str, str]) -> Callable[..., Any]:
    """Sends what is left, as the command does, and returns the report."""

    def run(config: dict, *, set_aside: bool = False, **extra: str) -> Any:
        code = (
            "import json, sys; from pathlib import Path\n"
            "from dataclasses import asdict\n"
            "from bioreactor_lake.lineage.delivery.sending import Sender\n"
            "config, root, aside = json.load(sys.stdin)\n"
            "sender = Sender(config, Path(root), 'replay', set_aside=aside)\n"
            "list(sender.follow())\n"
            "print(json.dumps(asdict(sender.end(5))))\n"
        )
        ended = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps([config, str(root), set_aside]),
            env=environment | extra,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        assert not ended.stderr
        return json.loads(ended.stdout)

    return run


@pytest.fixture(autouse=True)
def _enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENLINEAGE_DISABLED", raising=False)
