"""The worker of a watch: a process that stays, and makes one run after the other.

It imports everything once, keeps what runs have in common (`lake.resident`), and has the warehouse closed between runs.
What happens to it happens to nobody else: the watch starts another. It ends with its watch, however that ends.
"""

from __future__ import annotations

import gc
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import click

from bioreactor_lake.cli.watch.channel import Message, receive, send
from bioreactor_lake.errors import find_lake_error

_BEAT_SECONDS = 2.0


class Worker:
    """Does what it is told, one thing at a time.

    Args:
        orders: What it is told.
        answers: Where it answers.
    """

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self._orders, self._answers = orders, answers
        self._speaking = threading.Lock()
        self._waiting: queue.Queue[Message | None] = queue.Queue()

    def serve(self) -> int:
        """Work until told to end; the exit code."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _end)
        begin = receive(self._orders)
        if begin is None:
            return 0
        from bioreactor_lake.cli.watch.warm_runs import WarmRuns

        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        runs = None
        try:
            runs = WarmRuns(Path(begin["project"]), begin["env"], begin["params"], self._tell)
            self._tell({"is": "ready", **runs.configured})
            while (order := self._waiting.get()) is not None:
                self._tell(runs.run(patience_seconds=order["patience_seconds"]))
                # Between runs is the time for it.
                gc.collect()
        except OSError:
            return 0  # the watch is gone
        finally:
            # What is let go of now must not be left halfway.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if runs is not None:
                runs.close()
        return 0

    def _listen(self) -> None:
        while (order := receive(self._orders)) is not None:
            self._waiting.put(order)
        # The watch has ended or was killed: a run that is under way is ended as by a signal.
        self._waiting.put(None)
        os.kill(os.getpid(), signal.SIGTERM)

    def _beat(self) -> None:
        with suppress(OSError, ValueError):
            while True:
                self._tell({"is": "alive"})
                time.sleep(_BEAT_SECONDS)

    def _tell(self, message: Message) -> None:
        with self._speaking:
            send(self._answers, message)


def _end(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Serve the process that started this one; its standard output is for answers only."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.captureWarnings(True)
    try:
        code = Worker(sys.stdin, answers).serve()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    except BaseException as error:
        known = find_lake_error(error)
        # Nobody else says it: the process ends without a look at what threads do.
        click.secho(str(known or "".join(traceback.format_exception(error))), err=True, fg="red")
        code = 1 if known is None else known.exit_code or 1
    sys.stderr.flush()
    # Threads that wait for the watch are not waited for.
    os._exit(code)


if __name__ == "__main__":
    main()
