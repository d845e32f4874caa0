"""File locks and private files. POSIX only: on Windows the module can be imported, nothing in it was tried."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bioreactor_lake.errors import LockedError

if sys.platform != "win32":
    import fcntl


def open_private(path: Path, flags: int = 0) -> int:
    """Open a file for reading and writing that only its owner can read, and returns its descriptor.

    Root, at work in somebody's folder, leaves the file to the owner of that folder: he needs it on his next run.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    with os.fdopen(open_private(fresh, os.O_TRUNC), "w") as file:
        file.write(text)
    fresh.replace(path)


def share(path: Path) -> int:
    """Join those who use what the lock stands for; returns the descriptor that holds the lock until `unlock`."""
    descriptor = open_private(path)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_last(descriptor: int) -> bool:
    """Turn a shared lock into an exclusive one, unless somebody else shares it.

    The change is not atomic in the kernel: call it under the lock that whoever joins holds too.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Give the lock up, for forked children with a copy of the descriptor too, and closes it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusively(path: Path, seconds: float) -> Iterator[None]:
    """Hold an exclusive lock; waits for at most `seconds`.

    Raises:
        LockedError: Another process held it for longer.

    """
    descriptor = open_private(path)
    try:
        deadline = time.monotonic() + seconds
        while not is_last(descriptor):
            if time.monotonic() > deadline:
                raise LockedError(
                    f"Another process has held {path} for {seconds:.0f} s: it starts or stops the Postgres server.",
                    next_step="Wait for it, or end it, and run again.",
                )
            time.sleep(0.01)
        yield
    finally:
        unlock(descriptor)
