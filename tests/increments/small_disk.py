"""A disk that is soon full."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# What is left of a disk that is called full.
_LEFT = 32_768


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """16 MB in place of a folder for the length of the block."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk takes the right to mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk of a folder; deleting the file makes room."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as stream:
        stream.write(bytes(shutil.disk_usage(folder).free - _LEFT))
    return filler
