"""Whether a Parquet file is whole: the footer, its length and the magic bytes are what its writer writes last."""

from __future__ import annotations

import os
from pathlib import Path

_MAGIC = (b"PAR1", b"PARE")  # the latter where the footer is encrypted
_SHORTEST = 12  # the magic bytes twice, and the footer's length


def is_whole(path: Path) -> bool:
    """Whether a file ends as a Parquet file does.

    Raises:
        OSError: It cannot be read, or is gone.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size < _SHORTEST or stream.read(4) not in _MAGIC:
            return False
        stream.seek(-8, os.SEEK_END)
        end = stream.read(8)
    return end[4:] in _MAGIC and 0 < int.from_bytes(end[:4], "little") <= size - _SHORTEST
