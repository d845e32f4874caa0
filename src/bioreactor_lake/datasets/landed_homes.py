"""Where raw files of landed files are put: the raw folder, or the bucket of raw files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bioreactor_lake.errors import LakeError

if TYPE_CHECKING:
    from bioreactor_lake.raw_store.files import RawConfig

_PART = re.compile(r"\.[0-9a-f]{16}\.\d+\.part")


class RawHome(Protocol):
    """A place that raw files are put into, named by their paths under it."""

    def is_there(self, path: str) -> bool:
        """Whether there is a raw file."""

    def of_source(self, source: str) -> list[str]:
        """The raw files of a source."""

    def on_disk(self, path: str) -> Path:
        """A raw file that is there, on a disk of this machine.

        Raises:
            OSError: It cannot be read.
        """

    def part(self, path: str) -> Path:
        """Where the next version of a raw file is written to, before it is kept.

        Raises:
            OSError: There can be none.
            LakeError: It would be elsewhere than it seems.
        """

    def keep(self, part: Path, path: str) -> None:
        """Put it in place: whoever reads sees the old one or the new one."""

    def delete(self, path: str) -> None:
        """Delete a raw file, if it is there."""

    def delete_parts(self, sources: Iterable[str]) -> None:
        """Delete what a killed run has left."""


class RawFolderHome:
    """The raw folder.

    Args:
        root: The folder.

    Raises:
        LakeError: It is not there.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise LakeError(
                f"The raw folder {root} is not there.",
                kept="Every table is as it was.",
                next_step="Mount it or make it, or set BIOREACTOR_LAKE_RAW to the folder that has the raw files.",
            )
        self._root = root

    def is_there(self, path: str) -> bool:
        """As `RawHome.is_there`."""
        return (self._root / path).is_file()

    def of_source(self, source: str) -> list[str]:
        """As `RawHome.of_source`."""
        return [f"{source}/{path.name}" for path in (self._root / source).glob("*.parquet")]

    def on_disk(self, path: str) -> Path:
        """As `RawHome.on_disk`."""
        return self._root / path

    def part(self, path: str) -> Path:
        """As `RawHome.part`."""
        folder = (self._root / path).parent
        folder.mkdir(parents=True, exist_ok=True)
        if not folder.resolve().is_relative_to(self._root.resolve()):
            raise LakeError(
                f"{folder} is a link that leads out of the raw folder.",
                kept="Nothing was written there.",
                next_step="Remove the link: raw files of landed files lie in the raw folder itself.",
            )
        return folder / f".{_short_hash(Path(path).name)}.{os.getpid()}.part"

    def keep(self, part: Path, path: str) -> None:
        """As `RawHome.keep`."""
        part.replace(self._root / path)

    def delete(self, path: str) -> None:
        """As `RawHome.delete`."""
        (self._root / path).unlink(missing_ok=True)

    def delete_parts(self, sources: Iterable[str]) -> None:
        """As `RawHome.delete_parts`."""
        for source in filter(None, sources):
            for path in (self._root / source).glob(".*.part"):
                if _PART.fullmatch(path.name):
                    path.unlink(missing_ok=True)


class RawBucketHome:
    """The bucket of raw files. It is listed once; objects are read and written as wholes.

    Args:
        config: Where it is.
        folder: A folder for what is between, which goes with the run.

    Raises:
        LakeError: It cannot be listed.
    """

    def __init__(self, config: RawConfig, folder: Path) -> None:
        from bioreactor_lake.raw_store.writable import WritableBucket

        self._bucket, self._folder = WritableBucket(config), folder
        self._etags = {path: item["ETag"].strip('"') for path, item in self._bucket.list_objects()}

    def is_there(self, path: str) -> bool:
        """As `RawHome.is_there`."""
        return path in self._etags

    def of_source(self, source: str) -> list[str]:
        """As `RawHome.of_source`."""
        named = re.compile(rf"{re.escape(source)}/[^/]+\.parquet")
        return [path for path in self._etags if named.fullmatch(path)]

    def on_disk(self, path: str) -> Path:
        """As `RawHome.on_disk`."""
        copy = self._folder / f"raw-{_short_hash(path)}-{self._etags[path]}.parquet"
        if not copy.exists():
            self._bucket.fetch(path, self._etags[path], copy)
        return copy

    def part(self, path: str) -> Path:
        """As `RawHome.part`."""
        return self._folder / f"raw-{_short_hash(path)}.part"

    def keep(self, part: Path, path: str) -> None:
        """As `RawHome.keep`."""
        self._bucket.put(path, part)
        self._etags[path] = self._bucket.current_keys([path])[path].partition("-")[2]
        part.unlink()

    def delete(self, path: str) -> None:
        """As `RawHome.delete`."""
        if self._etags.pop(path, None) is not None:
            self._bucket.delete(path)

    def delete_parts(self, sources: Iterable[str]) -> None:
        """As `RawHome.delete_parts`: objects are there when they are whole."""


def open_home(config: RawConfig, folder: Path) -> RawHome:
    """The folder or bucket of raw files.

    Args:
        config: Where it is.
        folder: A folder for what is between.

    Raises:
        LakeError: It is not there, or cannot be reached.
    """
    if "://" in config["path"]:
        return RawBucketHome(config, folder)
    return RawFolderHome(Path(config["path"]))


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
