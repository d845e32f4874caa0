"""The process that sends lineage events, as the process sees it that starts it.

The OpenLineage client costs half a second to import and waits for servers: neither a run nor a command imports it, a
child of theirs does. It is told what to do on its standard input, where no list of processes shows it, and answers
with one line of JSON for each thing that happened.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bioreactor_lake.lineage.delivery.configuration import EmitterConfig, outbox_folder

_DEATH_SECONDS = 0.3

Task = Literal["follow", "replay", "name"]


@dataclass
class Delivery:
    """What became of the events of one target.

    Args:
        sent: How many it got.
        set_aside: How many it refused and that were set aside.
        problem: Why it got no more; empty where it got all.
        refused: Whether it was for the event itself that it got no more.
    """

    sent: int = 0
    set_aside: int = 0
    problem: str = ""
    refused: bool = False


@dataclass
class Report:
    """What a sender has said.

    Args:
        targets: What is configured, in order.
        problem: Why nothing could be sent at all; empty where something could.
    """

    targets: dict[str, Delivery] = field(default_factory=dict)
    problem: str = ""

    def add(self, said: dict[str, Any]) -> None:
        """Take in one thing that happened."""
        for target in said.get("targets", ()):
            self.targets[target] = Delivery()
        if (target := said.get("target")) is None:
            self.problem = said.get("problem", self.problem)
            return
        delivery = self.targets.setdefault(target, Delivery())
        delivery.sent += said.get("sent", 0)
        delivery.set_aside += said.get("set_aside", 0)
        delivery.problem = said.get("problem", delivery.problem)
        delivery.refused = said.get("refused", delivery.refused)


class Sender:
    """A child process that sends events; it outlives a parent that is killed by seconds only.

    Args:
        config: What the project configures.
        root: The project's folder; relative paths of the client's configuration lie under it.
        task: `follow` a run and send what it adds until it ends, `replay` what is left once, or just `name` the
            targets that are configured.
        set_aside: Whether events that a server refuses are set aside.

    Raises:
        OSError: The process could not be started.
    """

    def __init__(self, config: EmitterConfig, root: Path, task: Task, *, set_aside: bool = False) -> None:
        self.report = Report()
        sources = str(Path(__file__).parents[2])
        known = os.environ.get("PYTHONPATH")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bioreactor_lake.lineage.delivery.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
            env=os.environ | {"PYTHONPATH": f"{sources}{os.pathsep}{known}" if known else sources},
            start_new_session=True,
        )
        order = {
            "task": task,
            "set_aside": set_aside,
            "folder": str(outbox_folder(config, root).absolute()),
            "transport": config.get("transport") or {},
        }
        self._write(json.dumps(order, default=str).encode() + b"\n")
        # From here on nothing that the child does not read may hold the run up.
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)

    def nudge(self) -> None:
        """Say that there are new events."""
        self._write(b"\n")

    def _write(self, content: bytes) -> None:
        # A sender that has ended, or that has not read many nudges yet, needs none.
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, BlockingIOError):
                os.write(self._process.stdin.fileno(), content)

    def follow(self) -> Iterator[dict[str, Any]]:
        """What happens, as it happens, until the process ends; the report takes it in."""
        if self._process.stdout is not None:
            for line in self._process.stdout:
                with contextlib.suppress(ValueError):  # cut off where the process was killed
                    said = json.loads(line)
                    self.report.add(said)
                    yield said

    def end(self, seconds: float) -> Report:
        """Let it send what is left, but not for longer than this; then it is killed.

        Args:
            seconds: How long to wait.
        """
        process, killed = self._process, False
        try:
            if process.stdin is not None:
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, seconds))
        finally:
            if process.poll() is None:
                killed = True
                process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in a call of the system
                    process.wait(_DEATH_SECONDS)
        if process.returncode is not None:
            for _ in self.follow():
                pass
        if process.stdout is not None:
            process.stdout.close()
        if process.returncode and not killed and not self.report.problem:
            self.report.problem = f"the process that sends them ended with exit code {process.returncode}"
        return self.report
