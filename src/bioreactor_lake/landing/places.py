"""Where originals are kept: a folder, or a bucket of an object store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from bioreactor_lake.errors import LakeError, LockedError, UsageError
from bioreactor_lake.landing import zone
from bioreactor_lake.landing.ledger import LEDGER, Arrival, Ledger, parse_ledger, spell_arrivals
from bioreactor_lake.landing.zone import LandedFile

if TYPE_CHECKING:
    from bioreactor_lake.raw_store.files import RawConfig

_ATTEMPTS = 20


class LandingPlace(Protocol):
    """A place of originals."""

    root: str
    """The folder or URL that all paths lie under, without a slash at its end."""

    def is_there(self) -> bool:
        """Whether there is anything: a place that is not there may not be mounted."""

    def has(self, path: str) -> bool:
        """Whether a file lies under a path."""

    def find_files(self) -> list[LandedFile]:
        """Every landed file, in order of their paths.

        Raises:
            LakeError: They cannot be listed.
        """

    def hash_content(self, file: LandedFile) -> str:
        """SHA-256 of a file's bytes.

        Raises:
            OSError: It cannot be read.
            LakeError: The place cannot be reached.
        """

    def on_disk(self, file: LandedFile, folder: Path) -> AbstractContextManager[Path]:
        """The file on a disk of this machine, for as long as that is looked at.

        Args:
            file: The file.
            folder: Has room for a copy.

        Raises:
            OSError: It cannot be read, or is another by now.
            LakeError: The place cannot be reached.
        """

    def read_ledger(self) -> dict[tuple[str, str], Arrival]:
        """All arrivals by path and hash."""

    def add_to_ledger(self, arrivals: Iterable[Arrival]) -> None:
        """Write arrivals down."""

    def land_as(self, path: str, original: Path, *, how: str = "landed", run_id: str = "") -> bool:
        """Keep a file under a path, and write it into the ledger; whether it is new.

        Raises:
            OSError: It cannot be read or kept.
            LakeError: The place cannot be reached, or it would not be kept there.
        """


class LandingFolder:
    """Originals in a folder.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root, self.root = root, str(root)

    def is_there(self) -> bool:
        """As `LandingPlace.is_there`."""
        return self._root.is_dir()

    def has(self, path: str) -> bool:
        """As `LandingPlace.has`."""
        return (self._root / path).is_file()

    def find_files(self) -> list[LandedFile]:
        """As `LandingPlace.find_files`."""
        return zone.find_files(self._root)

    def hash_content(self, file: LandedFile) -> str:
        """As `LandingPlace.hash_content`."""
        return zone.hash_file(Path(file.location))

    @contextmanager
    def on_disk(self, file: LandedFile, folder: Path) -> Iterator[Path]:
        """As `LandingPlace.on_disk`."""
        yield Path(file.location)

    def read_ledger(self) -> dict[tuple[str, str], Arrival]:
        """As `LandingPlace.read_ledger`."""
        return Ledger(self._root).read()

    def add_to_ledger(self, arrivals: Iterable[Arrival]) -> None:
        """As `LandingPlace.add_to_ledger`."""
        Ledger(self._root).add(arrivals)

    def land_as(self, path: str, original: Path, *, how: str = "landed", run_id: str = "") -> bool:
        """As `LandingPlace.land_as`."""
        return zone.land_one(self._root, path, original, how=how, run_id=run_id)


class LandingBucket:
    """Originals as objects of a bucket below a prefix. One is known by its ETag: an unchanged one is never opened.

    Args:
        config: Where the bucket is and who asks for it.

    Raises:
        LakeError: The configuration names no bucket, or what reads object stores is not installed.
    """

    def __init__(self, config: RawConfig) -> None:
        from bioreactor_lake.raw_store.writable import WritableBucket

        self._bucket = WritableBucket(config, "BIOREACTOR_LAKE_LANDING")
        self.root = self._bucket.root

    def is_there(self) -> bool:
        """As `LandingPlace.is_there`."""
        return any(True for _ in self._bucket.list_objects())

    def has(self, path: str) -> bool:
        """As `LandingPlace.has`."""
        return self._bucket.is_there(path)

    def find_files(self) -> list[LandedFile]:
        """As `LandingPlace.find_files`."""
        return sorted(
            (
                LandedFile(
                    path=path,
                    location=f"{self.root}/{path}",
                    key=f"{item['Size']}-{item['ETag'].strip(chr(34))}",
                    size_bytes=item["Size"],
                    settled=True,
                    # A listing does not say whose an object is.
                    owner="unknown",
                    is_regular=True,
                )
                for path, item in self._bucket.list_objects()
                if zone.is_landed_file(path) and _is_safe(path)
            ),
            key=lambda file: file.path,
        )

    def hash_content(self, file: LandedFile) -> str:
        """As `LandingPlace.hash_content`."""
        return self._bucket.fetch(file.path, _etag(file))

    @contextmanager
    def on_disk(self, file: LandedFile, folder: Path) -> Iterator[Path]:
        """As `LandingPlace.on_disk`."""
        location = folder / f"{uuid4().hex}.original"
        try:
            self._bucket.fetch(file.path, _etag(file), location)
            yield location
        finally:
            location.unlink(missing_ok=True)

    def read_ledger(self) -> dict[tuple[str, str], Arrival]:
        """As `LandingPlace.read_ledger`."""
        found = self._bucket.read(LEDGER)
        return {} if found is None else parse_ledger(found[0].decode("utf-8", "replace").splitlines())

    def add_to_ledger(self, arrivals: Iterable[Arrival]) -> None:
        """As `LandingPlace.add_to_ledger`: objects cannot grow, so it is replaced, if it still is what was read."""
        text = spell_arrivals(arrivals).encode()
        for _ in range(_ATTEMPTS if text else 0):
            found = self._bucket.read(LEDGER)
            before, etag = found or (b"", None)
            if before and not before.endswith(b"\n"):
                before += b"\n"
            if self._bucket.put(LEDGER, before + text, instead_of=etag, new=etag is None):
                return
        if text:
            raise LakeError(
                f"The ledger {self.root}/{LEDGER} cannot be written: others write it all the time.",
                kept="Every table is as it was.",
                next_step="Run again.",
            )

    def land_as(self, path: str, original: Path, *, how: str = "landed", run_id: str = "") -> bool:
        """As `LandingPlace.land_as`."""
        with original.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        key = self._bucket.current_keys([path]).get(path)
        etag = None if key is None else key.partition("-")[2]
        if etag is not None:
            before = self._bucket.fetch(path, etag)
            if before == sha256:
                return False
            self._bucket.copy(path, zone.name_superseded(path, before))
        # An answer that was lost makes our own object one that is there already.
        if not self._bucket.put(path, original, instead_of=etag, new=etag is None) and not self._holds(path, sha256):
            raise LockedError(
                f"Somebody else has landed {self.root}/{path} at the same moment.",
                kept="Theirs is there, and what was there before is kept.",
                next_step="Try again.",
            )
        self.add_to_ledger([zone.landed_now(path, sha256, original.stat().st_size, how=how, run_id=run_id)])
        return True

    def _holds(self, path: str, sha256: str) -> bool:
        found = self._bucket.read(path)
        return found is not None and hashlib.sha256(found[0]).hexdigest() == sha256


def open_landing(path: str, store: Mapping[str, object]) -> LandingPlace:
    """The folder or bucket that a path names.

    Args:
        path: A folder, or `s3://bucket/prefix`.
        store: How object stores are reached, as raw files are.

    Raises:
        UsageError: It is a URL of another kind.
        LakeError: What reads object stores is not installed.
    """
    scheme, separator, _ = path.partition("://")
    if not separator:
        return LandingFolder(Path(path))
    if scheme != "s3":
        raise UsageError(
            f"The landing zone cannot be at {scheme}:// addresses.",
            next_step="Set BIOREACTOR_LAKE_LANDING to a folder or to s3://bucket/prefix.",
        )
    return LandingBucket({**store, "path": path})  # type: ignore[typeddict-item]


def _etag(file: LandedFile) -> str:
    return file.key.partition("-")[2]


def _is_safe(path: str) -> bool:
    # Names of objects may be anything; these could be no file of a folder.
    return not any(part in ("", ".", "..") for part in path.split("/"))
