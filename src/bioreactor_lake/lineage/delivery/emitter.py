"""Where a run hands its lineage events over: to the file, and to whatever else is configured."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioreactor_lake.lineage.delivery.configuration import (
    EmitterConfig,
    is_disabled,
    journal_path,
    outbox_folder,
    seconds_to_wait,
    transports_configured,
)
from bioreactor_lake.lineage.delivery.journal import Journal, to_line

if TYPE_CHECKING:
    from bioreactor_lake.lineage.delivery.outbox import Outbox
    from bioreactor_lake.lineage.delivery.sending import Sender

__all__ = ["Emitter", "EmitterConfig"]

REPLAY = "kedro lake lineage replay"
_NO_TIME = "there was no time"


class Emitter:
    """Takes the events of one run. Nothing that goes wrong with them is a fault of the run.

    Args:
        config: What the project configures.
        root: The project's folder.
    """

    def __init__(self, config: EmitterConfig, root: Path) -> None:
        self._config = config
        self._root = root.absolute()
        self._lock = threading.Lock()
        self._opened = self._closed = self._to_send = False
        self._journal: Journal | None = None
        self._outbox: Outbox | None = None
        self._sender: Sender | None = None
        # How many events met a fault, and the first fault of each kind.
        self._counts = {"made": 0, "written": 0, "kept": 0}
        self._faults: dict[str, str] = {}
        self._unsent: list[str] = []

    def emit(self, event: dict[str, Any]) -> None:
        """Keep an event and have it sent.

        Args:
            event: An OpenLineage event of what JSON can hold.
        """
        if is_disabled(os.environ):
            return
        with self._lock:
            try:
                line = to_line(event)
            except Exception as error:
                self._note("made", error)
                return
            try:
                self._open()
                if self._journal is not None:
                    self._journal.append(line)
            except Exception as error:
                self._note("written", error)
            if self._to_send:
                self._keep(line)

    def close(self) -> list[str]:
        """Give what is on its way a little time; returns what the run's user should be told."""
        with self._lock:
            if not self._closed:
                self._closed = True
                try:
                    self._end()
                except Exception as error:
                    self._unsent.append(f"Lineage events may not be sent yet ({_said(error)}): {REPLAY}")
            return [*self._fault_notices(), *self._unsent]

    def _open(self) -> None:
        if self._opened:
            return
        self._opened = True
        path = journal_path(self._config, self._root)
        self._journal = Journal(path) if path else None
        self._to_send = transports_configured(self._config, os.environ, self._root)

    def _keep(self, line: str) -> None:
        from bioreactor_lake.lineage.delivery.outbox import Outbox

        if "kept" in self._faults:
            # It was tried, and may have taken a while: the run does not wait for it again.
            self._counts["kept"] += 1
            return
        try:
            if self._outbox is None:
                self._outbox = Outbox(outbox_folder(self._config, self._root))
            self._outbox.add(line)
        except (OSError, sqlite3.Error) as error:
            self._note("kept", error)
            return
        try:
            if self._sender is not None:
                self._sender.nudge()
            elif not self._closed and "started" not in self._faults:
                from bioreactor_lake.lineage.delivery.sending import Sender

                self._sender = Sender(self._config, self._root, "follow")
        except Exception as error:
            self._faults["started"] = _said(error)

    def _end(self) -> None:
        if self._sender is None or self._outbox is None:
            return
        report = self._sender.end(seconds_to_wait(self._config))
        for target, delivery in report.targets.items():
            if pending := self._outbox.pending(target):
                why = delivery.problem or report.problem or self._outbox.who_sends(target) or _NO_TIME
                self._unsent.append(f"{_events(pending)} not sent yet to {target} ({why}): {REPLAY}")
        if not report.targets and (pending := self._outbox.size()):
            why = report.problem or _NO_TIME
            self._unsent.append(f"{_events(pending)} not sent yet ({why}): {REPLAY}")
        self._outbox.close()
        self._outbox = None

    def _note(self, what: str, error: Exception) -> None:
        self._counts[what] += 1
        self._faults.setdefault(what, _said(error))

    def _fault_notices(self) -> list[str]:
        folder = outbox_folder(self._config, self._root)
        endings = {
            "made": "left out: no JSON can be made of it",
            "written": f"not in {journal_path(self._config, self._root)}",
            "kept": f"not sent, since {folder} could not keep them",
        }
        notices = [
            f"{_events(self._counts[what])} {ending} ({self._faults[what]})."
            for what, ending in endings.items()
            if what in self._faults
        ]
        if "started" in self._faults:
            notices.append(f"Lineage events are kept and not sent ({self._faults['started']}): {REPLAY}")
        return notices


def _events(count: int) -> str:
    return "1 lineage event is" if count == 1 else f"{count:,} lineage events are"


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
