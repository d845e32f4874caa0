"""One watch for a lake: two would make every run twice."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bioreactor_lake.errors import LockedError

if sys.platform != "win32":
    import fcntl


@contextmanager
def only_watch_of(warehouse: Path) -> Iterator[None]:
    """Be the only watch of a warehouse for the length of the block; the lock ends with the process, however that ends.

    Args:
        warehouse: The DuckDB file.

    Raises:
        LockedError: Another watches it.
    """
    if sys.platform == "win32":
        yield
        return
    path = warehouse.with_name(f"{warehouse.stem}.watch")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip()
            raise LockedError(
                f"{warehouse} is watched already, by process {holder}.",
                kept="Nothing was changed.",
                next_step="Leave it to that one, or end it first.",
            ) from error
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
