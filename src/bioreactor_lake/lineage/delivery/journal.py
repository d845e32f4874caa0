"""The file that holds every lineage event, one line of strict JSON each."""

from __future__ import annotations

import json
import math
import os
import stat
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bioreactor_lake.sql import storable

if sys.platform != "win32":
    import fcntl

# What JSON leaves as it is and what readers that split text into lines take for an end of line.
_LINE_ENDS = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}
_PATIENCE_SECONDS = 1.0


def to_line(event: Mapping[str, Any]) -> str:
    r"""An event as one line of JSON that every reader and every database takes.

    NUL characters are left out, numbers that are not finite become null, and halves of surrogate pairs, which file
    names of no encoding have, become question marks.

    >>> to_line({"rows": 3, "mean": float("nan"), "name": "a\x00b"})
    '{"rows":3,"mean":null,"name":"ab"}'
    """
    try:
        line = _dump(event)
        line.encode()
    except (TypeError, ValueError):
        return _dump(_strict(event))
    # Almost every event is fit as it is; to go through each takes ten times as long.
    return _dump(_strict(event)) if "\\u0000" in line else line


def _dump(event: Any) -> str:
    return json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_LINE_ENDS)


def _strict(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_strict(str(key)): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_strict(item) for item in value]
    return _strict(str(value))


class Journal:
    """Appends events to a file that other processes append to at the same time.

    Args:
        path: The file; it is made with its folder when the first event comes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._patience = _PATIENCE_SECONDS

    def append(self, line: str) -> None:
        """Write one event: whole, on a line of its own, or not at all.

        Args:
            line: The event as JSON, without an end of line.

        Raises:
            OSError: The file cannot be written.
        """
        try:
            descriptor = self._open()
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = self._open()
        try:
            alone = self._lock(descriptor)
            found = os.fstat(descriptor)
            regular = stat.S_ISREG(found.st_mode)
            content = f"{line}\n".encode()
            # A process that was killed may have left a piece of a line: it ends here, and only it is lost.
            if regular and found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
                content = b"\n" + content
            try:
                if os.write(descriptor, content) < len(content):
                    raise OSError(f"{self.path} took a part of the event only")
            except OSError:
                if regular and alone:
                    os.ftruncate(descriptor, found.st_size)
                raise
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _lock(self, descriptor: int) -> bool:
        """Wait a little for others that are writing; where a file system knows no locks, O_APPEND has to do."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._patience = 0  # it hangs: this run does not wait for it again
                    return False
                time.sleep(0.005)
            except OSError:
                return False
            else:
                return True
