"""The worker as the watch sees it: a process that is started, told to run, and may end at any moment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bioreactor_lake.cli.watch.channel import Message, receive, send

_MODULE = "bioreactor_lake.cli.watch.worker"


class WorkerProcess:
    """A worker.

    Args:
        begin: What it has to know: project, environment, parameters.
        heard: Told what it says, and lastly that it has ended.
    """

    def __init__(self, begin: Message, heard: Callable[[WorkerProcess, Message], None]) -> None:
        self._heard = heard
        source = str(Path(__file__).parents[3])
        paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(  # noqa: S603 - this project's own module
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))},
            # Ctrl-C is for the watch, which tells it.
            start_new_session=True,
        )
        self._tell(begin)
        threading.Thread(target=self._listen, name="worker", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def run(self, *, patience_seconds: float) -> None:
        """Tell it to make a run."""
        self._tell({"do": "run", "patience_seconds": patience_seconds})

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def stop(self, seconds: float) -> int:
        """End it as a signal ends a run, or at once where that takes too long; its exit code."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _tell(self, message: Message) -> None:
        # One that has ended is heard of in another way.
        with suppress(OSError, ValueError):
            assert self._process.stdin is not None
            send(self._process.stdin, message)

    def _listen(self) -> None:
        stream: Any = self._process.stdout
        with suppress(OSError, ValueError):
            while (message := receive(stream)) is not None:
                self._heard(self, message)
        self._heard(self, {"is": "ended", "code": self._process.wait()})
