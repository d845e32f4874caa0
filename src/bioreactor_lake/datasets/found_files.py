"""Raw files as they lie on disk."""

from __future__ import annotations

import fnmatch
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bioreactor_lake.errors import LakeError

logger = logging.getLogger(__name__)

Key = tuple[int, int, int, int]
"""Size, mtime, ctime and inode: what points to a change without reading a file."""


@dataclass
class FoundFile:
    """A raw file as it was found: its path under the raw folder, its state on disk, and what was found in it.

    `known` says that what was found in it was taken over from the manifest.
    """

    path: str
    location: Path
    key: Key
    modified_seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    known: bool = False

    @property
    def modified_at(self) -> datetime:
        """When the file was last written, UTC."""
        return datetime.fromtimestamp(self.modified_seconds, UTC).replace(tzinfo=None)

    @property
    def to_read(self) -> bool:
        """Whether it has to be read, and nothing was found yet that keeps it from being read."""
        return not self.known and self.facts.get("reason") is None


def find_files(root: Path, ignore: Sequence[str]) -> list[FoundFile]:
    """Every file below a folder whose name and folders do not begin with `.` or `_`, in order of their paths.

    Args:
        root: The folder; one that is not there holds no file.
        ignore: Name patterns to pass over.

    Raises:
        LakeError: A folder below the root cannot be listed.
    """

    def refuse(error: OSError) -> None:
        if Path(error.filename) != root or root.exists():
            raise LakeError(
                f"The raw folder {error.filename} cannot be listed: {error.strerror}.",
                kept="Nothing was changed.",
                next_step="Give the lake the right to read it.",
            ) from error

    files = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        stat = Path(folder).stat()
        if (stat.st_dev, stat.st_ino) in seen:
            # A link that leads back into the folder.
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        for name in sorted(names):
            if name.startswith((".", "_")) or any(fnmatch.fnmatch(name, pattern) for pattern in ignore):
                continue
            location = Path(folder, name)
            try:
                stat = location.stat()
            except OSError as error:
                logger.warning("%s went away while the folder was listed (%s).", location, error.strerror)
                continue
            files.append(FoundFile(location.relative_to(root).as_posix(), location, _key(stat), stat.st_mtime))
    return sorted(files, key=lambda file: file.path)


def current_key(location: Path) -> Key | None:
    """The key of a file now, or None if it is gone."""
    try:
        return _key(location.stat())
    except OSError:
        return None


def _key(stat: os.stat_result) -> Key:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
