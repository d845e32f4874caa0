"""A run in a process of its own, to be looked at and killed while it is under way."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.commands import start_kedro
from tests.increments.lake import Lake, environment_of


@dataclass
class Started:
    process: BaseProcess
    output: Path

    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def wait(self) -> tuple[int | None, str]:
        self.process.join(120)
        return self.process.exitcode, self.said()

    def kill_after(self, writes: int, seconds: float) -> int | None:
        """Kill it `seconds` after so many of its writes, unless it is done before."""
        while self.process.is_alive() and self.said().count("Wrote ") + self.said().count("Published ") < writes:
            time.sleep(0.01)
        time.sleep(seconds)
        self.process.kill()
        self.process.join()
        return self.process.exitcode


def start(lake: Lake, *arguments: str, bound: bool = False, **variables: str) -> Started:
    """`kedro run`; `bound` gives up what lets root pass by permissions."""
    environment = os.environ | environment_of(lake) | {"DO_NOT_TRACK": "1", "COLUMNS": "400"} | variables
    output = lake.folder / f"output_{time.time_ns()}.txt"
    if lake.checkpoints is False:
        *before, given = arguments if "--params" in arguments else (*arguments, "--params", "")
        arguments = (*before, f"{given},checkpoints=false".lstrip(","))
    return Started(start_kedro(("run", *arguments), environment, output, bound=bound), output)


def run(lake: Lake, *arguments: str, bound: bool = False, **variables: str) -> tuple[int | None, str]:
    return start(lake, *arguments, bound=bound, **variables).wait()
