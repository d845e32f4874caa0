"""Kedro as a process of its own: its output as it comes, its exit code, and its end when ours comes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_SECONDS_TO_END = 10


def run_kedro(
    arguments: Sequence[str], root: Path, environment: Mapping[str, str], say: Callable[[str], object]
) -> int:
    """Run a command of Kedro to its end; its exit code.

    If the caller is interrupted, the command gets SIGTERM and the time that it needs to roll back.

    Args:
        arguments: What follows `kedro`.
        root: The project's folder.
        environment: All of its environment variables.
        say: Takes each line of its output.
    """
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "kedro", *arguments],
        cwd=root,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        for line in process.stdout or ():
            if text := line.rstrip():
                say(text)
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
