"""`kedro` in a process of its own that is forked from one that has imported everything, so that it begins at once."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.increments.lake import PROCESSES, PROJECT, Lake, environment_of


def _kedro(environment: dict[str, str], arguments: tuple[str, ...], output: str, bound: bool) -> None:
    if bound:
        libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert libc.capget(header, sets) == 0
        for number in range(3):  # effective, permitted, inheritable: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
            sets[number] &= ~0b110
        assert libc.capset(header, sets) == 0
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(descriptor, number)
        setattr(sys, name, open(number, "w", buffering=1, closefd=False))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(PROJECT)
    sys.argv = ["kedro", *arguments]
    from kedro.framework.cli.cli import main

    main()


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
    arguments = ("run", *arguments)
    process = PROCESSES.Process(target=_kedro, args=(environment, arguments, str(output), bound), daemon=True)
    process.start()
    return Started(process, output)


def run(lake: Lake, *arguments: str, bound: bool = False, **variables: str) -> tuple[int | None, str]:
    return start(lake, *arguments, bound=bound, **variables).wait()
