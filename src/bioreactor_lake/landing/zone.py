"""The folder of the landing zone: what lies in it, and how a file gets there."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import stat as modes
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from bioreactor_lake.environment import find_user
from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.landing.ledger import LEDGER, Arrival, Ledger

if TYPE_CHECKING:
    from bioreactor_lake.landing.places import LandingPlace

SUPERSEDED = ".superseded"
"""Folder of a source in which originals are kept that a newer one of the same name has followed."""
_SOURCE = re.compile(r"[a-z][a-z0-9_]{0,62}")
# A file written less than this before it was found could change once more within its time stamp's grain.
_SETTLING_SECONDS = 2
_CHUNK = 1 << 20
_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", "~")


@dataclass(frozen=True)
class LandedFile:
    """A file as it was found.

    Args:
        path: Its path under the landing zone.
        location: Where it lies: a path, or a URL.
        key: Size, times and inode: what points to a change without reading it.
        size_bytes: Its size.
        settled: Whether a change after this moment would show in the key.
        owner: Whose it is.
        is_regular: Whether it is a file of its own, and not a link or a device.
    """

    path: str
    location: Path | str
    key: str
    size_bytes: int
    settled: bool
    owner: str
    is_regular: bool

    @property
    def source(self) -> str:
        """The folder that it lies in; empty for one that lies in none."""
        source, separator, _ = self.path.partition("/")
        return source if separator else ""

    @property
    def path_in_source(self) -> str:
        """Its path under the source's folder."""
        return self.path.partition("/")[2]


def find_files(root: Path) -> list[LandedFile]:
    """Every landed file, in order of their paths; none where there is no landing zone.

    Hidden files and unfinished copies are passed over, links are not followed.

    Raises:
        LakeError: A folder of it cannot be listed.
    """
    if not root.is_dir():
        return []
    now, found = time.time(), []
    for folder, folders, names in os.walk(root, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if Path(folder, name).is_symlink()]
        base = Path(folder).relative_to(root).as_posix()
        for name in [*names, *links]:
            path = name if base == "." else f"{base}/{name}"
            if not is_landed_file(path):
                continue
            with suppress(FileNotFoundError):
                found.append(_found(path, Path(folder, name), now))
    return sorted(found, key=lambda file: file.path)


def is_landed_file(path: str) -> bool:
    """Whether a path under the landing zone is one of a landed file.

    >>> is_landed_file("pensim/seed1.csv"), is_landed_file("ledger.jsonl"), is_landed_file("x/.superseded/1/a.csv")
    (True, False, False)
    """
    hidden = any(part.startswith(".") for part in path.split("/"))
    return path != LEDGER and not hidden and not path.endswith(_UNFINISHED)


def hash_file(location: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        OSError: It cannot be read.
    """
    with location.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def arrival_of(file: LandedFile, sha256: str) -> Arrival:
    """The ledger's line for a file that was put there by other means than the command."""
    return Arrival(file.path, sha256, file.size_bytes, now_utc(), file.owner, "found")


def now_utc() -> str:
    """The time, UTC."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def confirm_source(source: str) -> str:
    """The name of a source.

    Raises:
        UsageError: It cannot be one.
    """
    if not _SOURCE.fullmatch(source):
        raise UsageError(
            f"A source cannot be called {source!r}.", next_step="Use small letters, digits and underscores."
        )
    return source


def land(
    place: LandingPlace, source: str, given: Path, *, how: str = "landed", run_id: str = ""
) -> Iterator[tuple[str, bool]]:
    """Copy a file, or a folder with all that is in it, into the landing zone, and write it into the ledger.

    A file that is there already, byte for byte, stays. One of the same name with other bytes is moved aside and kept.

    Args:
        place: The landing zone; made where it is missing.
        source: The source.
        given: The file or folder. Of a folder its own name is part of the paths, since profiles may read it.
        how: What the ledger says of how they came.
        run_id: And which run brought them, if one did.

    Yields:
        The path under the landing zone, and whether the file is new.

    Raises:
        LakeError: A file cannot be copied; those before it have landed.
    """
    given = given.resolve()
    within = given.parent
    for original in [given] if given.is_file() else _files_of(given):
        path = f"{confirm_source(source)}/{original.relative_to(within).as_posix()}"
        if any(part.startswith(".") for part in path.split("/")) or path.endswith(_UNFINISHED):
            continue
        try:
            yield path, place.land_as(path, original, how=how, run_id=run_id)
        except OSError as error:
            raise LakeError(
                f"{original} cannot be landed: {error.strerror or error}.",
                kept="Files that were named before it have landed.",
                next_step="Give this user the right to read it and to write the landing zone, and make room.",
            ) from error


def land_one(root: Path, path: str, original: Path, *, how: str = "landed", run_id: str = "") -> bool:
    """Keep a file in a folder's landing zone, and write it into the ledger; whether it is new.

    Args:
        root: The landing zone.
        path: Where it is kept, under it.
        original: The file.
        how: What the ledger says of how it came.
        run_id: And which run brought it, if one did.

    Raises:
        LakeError: It would be kept elsewhere.
        OSError: It cannot be read or kept.
    """
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise LakeError(
            f"{target.parent} is a link that leads out of the landing zone.",
            kept="Nothing was written there.",
            next_step="Remove the link: originals are kept in the landing zone itself.",
        )
    part = target.with_name(f".{uuid4().hex}.part")
    try:
        digest, size = hashlib.sha256(), 0
        with original.open("rb") as source, part.open("xb") as copy:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        sha256 = digest.hexdigest()
        if target.is_symlink() or target.exists():
            before = hash_file(target)
            if before == sha256:
                return False
            _set_aside(root, path, before)
        part.chmod(0o444)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    Ledger(root).add([landed_now(path, sha256, size, how=how, run_id=run_id)])
    return True


def landed_now(path: str, sha256: str, size_bytes: int, *, how: str = "landed", run_id: str = "") -> Arrival:
    """The ledger's line for a file that is being landed."""
    return Arrival(path, sha256, size_bytes, now_utc(), find_user(), how, run_id)


def name_superseded(path: str, sha256: str) -> str:
    """Where an original is kept that a newer one follows.

    >>> name_superseded("mine/R1/a.csv", "0123456789abcdef0123")
    'mine/.superseded/0123456789abcdef/R1/a.csv'
    """
    source, _, rest = path.partition("/")
    return f"{source}/{SUPERSEDED}/{sha256[:16]}/{rest}"


def _set_aside(root: Path, path: str, sha256: str) -> None:
    aside = root / name_superseded(path, sha256)
    aside.parent.mkdir(parents=True, exist_ok=True)
    (root / path).replace(aside)


def _files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _found(path: str, location: Path, now: float) -> LandedFile:
    stat = location.lstat()
    try:
        owner = pwd.getpwuid(stat.st_uid).pw_name
    except KeyError:
        owner = str(stat.st_uid)
    return LandedFile(
        path=path,
        location=location,
        key=f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_ino}",
        size_bytes=stat.st_size,
        settled=max(stat.st_mtime, stat.st_ctime) < now - _SETTLING_SECONDS,
        owner=owner,
        is_regular=modes.S_ISREG(stat.st_mode),
    )


def _refuse(error: OSError) -> None:
    raise LakeError(
        f"The landing zone cannot be listed: {error.filename}: {error.strerror}.",
        kept="Nothing was changed.",
        next_step="Give the lake the right to read it.",
    ) from error
