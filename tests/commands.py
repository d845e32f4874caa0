"""`kedro` in a process of its own, forked from one that has imported everything: it saves seconds each time."""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import re
import shlex
import subprocess
import sys
import tempfile
from multiprocessing.process import BaseProcess
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PACKAGE = "bioreactor_lake"
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["bioreactor_lake.cli.run", "bioreactor_lake.cli.summary", "bioreactor_lake.pipeline_registry"]
    + [f"bioreactor_lake.datasets.{name}" for name in ("raw_folder", "manifest", "tables", "marts")]
    + ["kedro.framework.cli.cli", "kedro.framework.session.session", "kedro.runner", "ibis.backends.duckdb"]
    + ["tests.increments.lake"]
)


def start_kedro(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    output: Path,
    errors: Path | None = None,
    *,
    bound: bool,
    project: Path = PROJECT,
) -> BaseProcess:
    """Start a command.

    Args:
        arguments: What follows `kedro`.
        environment: Its whole environment.
        output: The file that its standard output goes to.
        errors: The file of its standard error; None: the same one.
        bound: Give up what lets root pass by permissions.
        project: The folder to be in; where it is a copy of the project, its own source is imported.
    """
    process = PROCESSES.Process(
        target=_be_kedro,
        args=(arguments, environment, str(output), errors and str(errors), bound, project),
        daemon=True,
    )
    process.start()
    return process


def run_kedro(
    arguments: tuple[str, ...], environment: dict[str, str], project: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    with tempfile.TemporaryDirectory(prefix="lake-said-") as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        process = start_kedro(arguments, environment, output, errors, bound=False, project=project)
        process.join(300)
        assert process.exitcode is not None, f"kedro {' '.join(arguments)} has not ended: {errors.read_text()}"
        return subprocess.CompletedProcess(
            ["kedro", *arguments], process.exitcode, output.read_text(), errors.read_text()
        )


def split_plain(command: str) -> tuple[str, ...] | None:
    """What follows `kedro` in a line that is nothing but such a command; None: only a shell understands it."""
    if not command.startswith("kedro ") or re.search(r"[|&;<>$`*?~#\\\n]", command):
        return None
    return tuple(shlex.split(command)[1:])


def _be_kedro(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    output: str,
    errors: str | None,
    bound: bool,
    project: Path,
) -> None:
    if bound:
        libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert libc.capget(header, sets) == 0
        for number in range(3):  # effective, permitted, inheritable: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
            sets[number] &= ~0b110
        assert libc.capset(header, sets) == 0
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    said = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    complained = said if errors is None else os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, name, descriptor in ((1, "stdout", said), (2, "stderr", complained)):
        os.dup2(descriptor, number)
        setattr(sys, name, open(number, "w", buffering=1, closefd=False))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(project)
    if project != PROJECT:
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
        sys.path[:] = [path for path in sys.path if path not in (str(PROJECT / "src"), "src")]
        sys.path.insert(0, str(project / "src"))
    sys.argv = ["kedro", *arguments]
    from kedro.framework.cli.cli import main

    try:
        main()
    finally:
        # A forked process ends without them.
        atexit._run_exitfuncs()
