"""A watch under test: the command in a process of its own, and what it answers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
from tests.increments.lake import PROJECT, Lake, environment_of

Found = TypeVar("Found")


class Watched:
    """`kedro lake watch` of a lake; `arguments` go to the command."""

    def __init__(self, lake: Lake, *arguments: str) -> None:
        self.lake = lake
        self.output = lake.folder / f"watch_{time.time_ns()}.txt"
        environment = os.environ | environment_of(lake) | {"DO_NOT_TRACK": "1", "COLUMNS": "400"}
        command = [sys.executable, "-m", "kedro", "lake", "watch", "--port", "0", *arguments]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        self.address = self.until(lambda: re.findall(r"(http://127\.0\.0\.1:\d+)/healthz", self.said()))[0]

    def said(self) -> str:
        return self.output.read_text()

    def until(self, look: Callable[[], Found], seconds: float = 90) -> Found:
        """What is found, when it is something; the watch goes on meanwhile."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        return found

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.address}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()

    def metrics(self) -> dict[str, float]:
        lines = [line for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def worker(self) -> psutil.Process | None:
        found = [one for one in psutil.Process(self.process.pid).children() if "worker" in " ".join(one.cmdline())]
        return found[0] if found else None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Exit code, and how long it took to end."""
        started = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(60), time.monotonic() - started


def half(path: Path) -> bytes:
    """Take the second half of a file away, and return the whole."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return content
