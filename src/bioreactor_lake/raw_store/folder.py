"""Raw files in a folder of this machine."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bioreactor_lake.errors import LakeError
from bioreactor_lake.raw_store.files import FoundFile, is_raw_file
from bioreactor_lake.raw_store.wholeness import is_whole

logger = logging.getLogger(__name__)

# A file written less than this before it was found could change once more within its time stamp's grain.
_SETTLING_SECONDS = 2


class Folder:
    """A folder; subfolders and links are followed.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.root = path.as_posix().rstrip("/")

    def find_files(self, ignore: Sequence[str] = ()) -> list[FoundFile]:
        """As `RawStore.find_files`."""
        if not self._path.is_dir():
            raise LakeError(
                f"The raw folder {self._path} is not there.",
                kept="Every table is as it was.",
                next_step="Mount it, or set BIOREACTOR_LAKE_RAW to the folder that has the raw files.",
            )
        now, files = time.time(), []
        seen: set[tuple[int, int]] = set()
        for folder, folders, names in os.walk(self._path, onerror=_refuse, followlinks=True):
            stat = Path(folder).stat()
            if (stat.st_dev, stat.st_ino) in seen:
                # A link that leads back into the folder.
                folders.clear()
                continue
            seen.add((stat.st_dev, stat.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
            base = Path(folder).relative_to(self._path).as_posix()
            for name in sorted(names):
                path = name if base == "." else f"{base}/{name}"
                if is_raw_file(path, ignore):
                    location = Path(folder, name)
                    try:
                        files.append(_found(path, location, now))
                    except OSError as error:
                        logger.warning("%s went away while the folder was listed (%s).", location, error.strerror)
        return sorted(files, key=lambda file: file.path)

    def hash_content(self, file: FoundFile) -> str:
        """SHA-256 of the file's bytes."""
        with Path(file.location).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def current_keys(self, paths: Sequence[str]) -> dict[str, str]:
        """As `RawStore.current_keys`."""
        keys = {}
        for path in paths:
            try:
                keys[path] = _key((self._path / path).stat())
            except OSError:
                continue
        return keys

    def read_start(self, file: FoundFile, length: int) -> bytes:
        """As `RawStore.read_start`."""
        with Path(file.location).open("rb") as stream:
            return stream.read(length)

    def is_unfinished(self, path: str, patience_seconds: float) -> bool:
        """As `RawStore.is_unfinished`."""
        location = self._path / path
        try:
            stat = location.stat()
            written = max(stat.st_mtime, stat.st_ctime)
            return time.time() - written < patience_seconds and not is_whole(location)
        except OSError:
            # What cannot be read is not being written: whoever reads it says why.
            return False

    def prepare(self, backend: Any, *, remember: bool) -> None:
        """Nothing: DuckDB reads folders by itself."""


def _found(path: str, location: Path, now: float) -> FoundFile:
    stat = location.stat()
    return FoundFile(
        path=path,
        location=location.as_posix(),
        key=_key(stat),
        size_bytes=stat.st_size,
        modified_at=datetime.fromtimestamp(stat.st_mtime, UTC).replace(tzinfo=None),
        settled=max(stat.st_mtime, stat.st_ctime) < now - _SETTLING_SECONDS,
    )


def _key(stat: os.stat_result) -> str:
    return f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_ino}"


def _refuse(error: OSError) -> None:
    raise LakeError(
        f"The raw folder {error.filename} cannot be listed: {error.strerror}.",
        kept="Nothing was changed.",
        next_step="Give the lake the right to read it.",
    ) from error
