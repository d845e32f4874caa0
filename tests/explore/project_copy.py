"""A copy of the project with its own warehouse, Postgres server and .viz; its commands, and what Kedro-Viz answers."""

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

PROJECT = Path(__file__).parents[2]
COPIED = ["conf", "data/01_raw", "notebooks", "pyproject.toml", "src", ".telemetry"]
HIDDEN = shutil.ignore_patterns("__pycache__", ".*_cache", ".ipynb_checkpoints", "local")
OURS = ("BIOREACTOR_LAKE_", "KEDRO_", "OPENLINEAGE_", "PYTHONPATH")
SERVER = """
import sys
from pathlib import Path
from kedro_viz.server import run_server
run_server(host="127.0.0.1", port=int(sys.argv[1]), project_path=Path.cwd())
"""


class Lake:
    """The copy, and its commands in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warehouse = folder / "data/warehouse/bioreactor.duckdb"
        self.postgres = folder / "data/postgres"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | {
            "DO_NOT_TRACK": "1",
            "COLUMNS": "200",
        }
        for name in COPIED:
            source, target = PROJECT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=HIDDEN)
            else:
                shutil.copy(source, target)
        (folder / "conf/local").mkdir()

    @property
    def password(self) -> str:
        return (self.postgres / "password").read_text().strip()

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "kedro", *arguments]

    def kedro(self, *arguments: str, **environment: str) -> str:
        environment = self.environment | environment
        command = self.command(*arguments)
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


class Viz:
    """Kedro-Viz's server, and its answers.

    Args:
        command: Starts it; `{port}` stands for its port.
        log: File for what it prints.
    """

    def __init__(self, command: list[str], lake: Lake, log: Path, **environment: str) -> None:
        port = _free_port()
        self.url, self.log = f"http://127.0.0.1:{port}", log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [part.format(port=port) for part in command],
                cwd=lake.folder,
                env=lake.environment | environment,
                stdout=stream,
                stderr=stream,
            )

    def wait(self) -> None:
        for _ in range(300):
            try:
                self.text("version")
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"Kedro-Viz did not come up: {self.log.read_text()}")

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.url}/api/{path}", timeout=30) as answer:
            return answer.read().decode()

    def get(self, path: str) -> Any:
        return json.loads(self.text(path))

    def node_id(self, name: str) -> str:
        (found,) = [node["id"] for node in self.get("main")["nodes"] if node["name"] == name]
        return found

    def node(self, name: str) -> dict[str, Any]:
        return self.get(f"nodes/{self.node_id(name)}")

    def all_answers(self) -> str:
        nodes = [self.text(f"nodes/{node['id']}") for node in self.get("main")["nodes"]]
        pages = [self.text(page) for page in ("main", "pipelines/marts", "version", "run-status")]
        return "\n".join(nodes + pages)


@contextlib.contextmanager
def executed(lake: Lake, name: str) -> Iterator[NotebookClient]:
    """A notebook after its last cell, with its kernel still up."""
    source = nbformat.read(lake.folder / f"notebooks/{name}.ipynb", as_version=4)
    folder = {"metadata": {"path": str(lake.folder / "notebooks")}}
    client = NotebookClient(source, timeout=180, kernel_name="python3", resources=folder)
    with client.setup_kernel(env=lake.environment):
        for index, cell in enumerate(source.cells):
            client.execute_cell(cell, index)
        yield client


def _free_port() -> int:
    """A port of those that `kedro viz run` takes: it refuses any above 49151, where systems give theirs out."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(20000, 30000)))
            return probe.getsockname()[1]
