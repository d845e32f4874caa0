"""Hears that raw files have changed: from the operating system, or by listing them again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 1.0
# Where the system cannot tell of changes.
_POLL_INSTEAD_SECONDS = 5.0

Heard = Callable[[tuple[str, ...] | None], None]
"""Is told paths under the root that something happened to, or None where all have to be looked at."""


class Listener(threading.Thread):
    """Listens to a folder, from a thread of its own, for as long as the process lives.

    Args:
        folder: The raw folder; it may come and go, as network drives do.
        heard: Told of changes.
        quiet_seconds: So long nothing may change before it is told.
        longest_wait_seconds: And after so long it is told all the same.
    """

    def __init__(self, folder: Path, heard: Heard, *, quiet_seconds: float, longest_wait_seconds: float) -> None:
        super().__init__(name="listener", daemon=True)
        self._folder, self._heard = folder, heard
        self._quiet, self._longest = quiet_seconds, longest_wait_seconds
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Listen no longer."""
        self._stopped.set()

    def run(self) -> None:
        """Listen until `stop`."""
        while not self._stopped.is_set():
            try:
                self._listen()
            except (OSError, RuntimeError) as error:
                # No more watches are to be had, or the folder is none that the system watches.
                if self._identity() is not None:
                    logger.warning(
                        "The system does not tell of changes in %s (%s): it is listed every %g s instead.",
                        self._folder, error, _POLL_INSTEAD_SECONDS,
                    )  # fmt: skip
                    while not self._stopped.wait(_POLL_INSTEAD_SECONDS):
                        self._heard(None)
            self._stopped.wait(_CHECK_SECONDS)

    def _listen(self) -> None:
        from watchfiles import watch

        watched = self._identity()
        if watched is None:
            return
        changes = watch(
            self._folder,
            watch_filter=None,
            debounce=max(1, round(self._longest * 1000)),
            step=max(1, round(self._quiet * 1000)),
            rust_timeout=round(_CHECK_SECONDS * 1000),
            yield_on_timeout=True,
            stop_event=self._stopped,
            ignore_permission_denied=True,
        )
        told_of_start = False
        for changed in changes:
            if changed:
                self._tell([Path(path) for _, path in changed])
            elif not told_of_start:
                # What changed while nobody listened.
                told_of_start = True
                self._heard(None)
            # One that was taken away and came back is another, of which nothing would be heard.
            elif self._identity() != watched:
                self._heard(None)
                return

    def _tell(self, paths: list[Path]) -> None:
        found = []
        for path in paths:
            if path.is_dir() or not path.is_relative_to(self._folder):
                self._heard(None)
                return
            found.append(path.relative_to(self._folder).as_posix())
        self._heard(tuple(found))

    def _identity(self) -> tuple[int, int] | None:
        try:
            stat = self._folder.stat()
        except OSError:
            return None
        return stat.st_dev, stat.st_ino


class Poller(threading.Thread):
    """Asks for a look at all files again and again.

    Args:
        heard: Told to look.
        seconds: How often.
    """

    def __init__(self, heard: Heard, seconds: float) -> None:
        super().__init__(name="poller", daemon=True)
        self._heard, self._seconds = heard, seconds
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()

    def run(self) -> None:
        """Ask until `stop`."""
        while not self._stopped.wait(self._seconds):
            self._heard(None)
