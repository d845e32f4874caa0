"""`python -m bioreactor_lake.lineage.delivery.sender`: the process that sends what is in the outbox.

Its first line of input says what to do, each further byte that there is more to send, and the end of the input that
whoever asked has no more. Its output is one line of JSON for each thing that happened.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bioreactor_lake.lineage.delivery.outbox import Outbox
    from bioreactor_lake.lineage.delivery.targets import Target

REFUSED = "refused.jsonl"
# How long one event may take where the configuration does not say: somebody may be waiting for the run to end.
_RUN_SECONDS, _REPLAY_SECONDS = 2.0, 30.0
# How long it goes on after a parent that was killed, and how long a replay waits for another process.
_LINGER_SECONDS, _PATIENCE_SECONDS = 30.0, 60.0
_LOOK_AGAIN_SECONDS = 0.1


class _Sending:
    """What one sender does: a thread for each target, so that none waits for another."""

    def __init__(self, order: dict[str, Any], output: int) -> None:
        self.order = order
        self.output = output
        self.follows = order["task"] == "follow"
        self.folder = Path(order["folder"])
        self.ending = threading.Event()
        self._wakes: list[threading.Event] = []
        self._said = threading.Lock()

    def listen(self) -> None:
        """Follow the input until its end; a sender whose parent is gone ends by itself."""
        while os.read(0, 65536):
            for wake in self._wakes:
                wake.set()
        self.ending.set()
        for wake in self._wakes:
            wake.set()
        if self.follows:
            time.sleep(_LINGER_SECONDS)
        os._exit(0)

    def run(self) -> None:
        """Do what was ordered."""
        from bioreactor_lake.lineage.delivery.outbox import Outbox
        from bioreactor_lake.lineage.delivery.reasons import configured_values, reason_of

        try:
            from bioreactor_lake.lineage.delivery.targets import find_targets

            targets = find_targets(self.order["transport"], _RUN_SECONDS if self.follows else _REPLAY_SECONDS)
        except Exception as error:
            self.say(problem=reason_of(error, configured_values([self.order["transport"], *_other_configuration()])))
            return
        names = [target.identity for target in targets]
        if self.order["task"] == "name":
            self.say(targets=names)
            return
        outbox = Outbox(self.folder)
        outbox.register(names)
        outbox.close()
        self.say(targets=names)
        threads = []
        for target in targets:
            wake = threading.Event()
            self._wakes.append(wake)
            threads.append(threading.Thread(target=self._serve, args=(target, wake), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _serve(self, target: Target, wake: threading.Event) -> None:
        from bioreactor_lake.lineage.delivery.outbox import Outbox
        from bioreactor_lake.lineage.delivery.reasons import is_refusal, reason_of

        try:
            outbox = Outbox(self.folder)
            while True:
                wake.clear()
                last = self.ending.is_set() or not self.follows
                self._take_turn(target, outbox)
                if last:
                    return
                wake.wait()
        except Exception as error:
            # The order of events is kept: after the first that fails no other is tried.
            self.say(target=target.identity, problem=reason_of(error, target.values), refused=is_refusal(error))

    def _take_turn(self, target: Target, outbox: Outbox) -> None:
        """Send what a target has not got, unless another process keeps at it for too long."""
        lock, other = None, ""
        waiting_since = time.monotonic()
        while outbox.pending(target.identity) and (lock := outbox.begin_sending(target.identity)) is None:
            if not self.follows and other != (other := outbox.who_sends(target.identity) or other):
                self.say(target=target.identity, problem=other, waits=True)
            if not self.follows and time.monotonic() - waiting_since > _PATIENCE_SECONDS:
                return
            time.sleep(_LOOK_AGAIN_SECONDS)
        if other:
            self.say(target=target.identity, problem="")
        if lock is None:
            return
        try:
            while (found := outbox.next_event(target.identity)) is not None:
                self._send(target, outbox, *found)
        finally:
            os.close(lock)

    def _send(self, target: Target, outbox: Outbox, number: int, text: str) -> None:
        from bioreactor_lake.lineage.delivery.reasons import is_refusal, reason_of

        try:
            target.send(json.loads(text))
        except Exception as error:
            if not (self.order["set_aside"] and is_refusal(error)):
                raise
            self._set_aside(target, text, reason_of(error, target.values))
            outbox.confirm(target.identity, number)
            self.say(target=target.identity, set_aside=1)
        else:
            outbox.confirm(target.identity, number)
            self.say(target=target.identity, sent=1)

    def _set_aside(self, target: Target, text: str, reason: str) -> None:
        from datetime import UTC, datetime

        from bioreactor_lake.lineage.delivery.journal import Journal, to_line

        refusal = {"target": target.identity, "reason": reason, "at": datetime.now(UTC).isoformat()}
        Journal(self.folder / REFUSED).append(to_line(refusal | {"event": json.loads(text)}))

    def say(self, **what: Any) -> None:
        """Tell the parent; where it is gone, nobody listens."""
        # A run reads at its end, when what was sent shows in the outbox: the pipe must not fill up until then.
        if self.follows and "sent" in what:
            return
        with self._said, contextlib.suppress(OSError):
            os.write(self.output, json.dumps(what).encode() + b"\n")


def _other_configuration() -> list[Any]:
    from bioreactor_lake.lineage.delivery.configuration import client_file, transport_of_file

    found: list[Any] = []
    for name, value in os.environ.items():
        if name.startswith(("OPENLINEAGE", "DD_")):
            found.append(value)
            with contextlib.suppress(ValueError):
                found.append(json.loads(value))
    if (file := client_file(os.environ, Path.cwd())) is not None:
        found.append(transport_of_file(file))
    return found


def _keep_quiet() -> int:
    """Let nothing but reports and the client's console transport out: libraries log addresses with passwords in them.

    Returns where reports go.
    """
    output, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    logging.getLogger().addHandler(logging.NullHandler())
    logging.lastResort = None
    with contextlib.suppress(OSError):  # it may have been closed
        console = os.fdopen(os.dup(2), "w", encoding="utf-8")
        log = logging.getLogger("openlineage.client.transport.console")
        log.addHandler(logging.StreamHandler(console))
        log.setLevel(logging.INFO)
        log.propagate = False
    os.dup2(nowhere, 2)
    return output


def main() -> None:
    """Read what to do, and do it."""
    output = _keep_quiet()
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            return
        line += byte
    sending = _Sending(json.loads(line), output)
    threading.Thread(target=sending.listen, daemon=True).start()
    try:
        sending.run()
    except (OSError, sqlite3.Error) as error:
        sending.say(problem=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
