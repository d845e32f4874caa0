"""A standalone Spark of the tests' own: a master and workers, processes on loopback."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyspark

_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"


@dataclass
class Cluster:
    """A master with workers.

    Args:
        folder: For logs and the workers' files.
    """

    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    master: subprocess.Popen[bytes] | None = None
    url: str = ""

    def start(self, workers: int) -> Cluster:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"spark://127.0.0.1:{port}"
        self.master = self._begin("master", "master.Master", "--port", str(port))
        self._wait_for("master", "Starting Spark master")
        for number in range(workers):
            name = f"worker-{number}"
            self.workers.append(
                self._begin(name, "worker.Worker", "--cores", "1", "--memory", "1g", "--work-dir",
                            str(self.folder / name), self.url)
            )  # fmt: skip
        for number in range(workers):
            self._wait_for(f"worker-{number}", "Successfully registered with master")
        return self

    def kill_worker(self) -> None:
        """End a worker and its executors at once, as a machine that fails does."""
        _kill(self.workers.pop(0))

    def stop(self) -> None:
        for process in [*self.workers, *([self.master] if self.master else [])]:
            _kill(process)

    def _begin(self, name: str, of: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{name}.log").open("wb")
        command = [str(_CLASS), f"org.apache.spark.deploy.{of}", "--host", "127.0.0.1", "--webui-port", "0", *arguments]
        environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(self.folder)}
        # A group of its own: the script, the JVM and its executors end together.
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)

    def _wait_for(self, name: str, words: str) -> None:
        log, deadline = self.folder / f"{name}.log", time.monotonic() + 60
        while not re.search(words, log.read_text(errors="replace")):
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.2)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
