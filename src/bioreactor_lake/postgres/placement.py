"""Where the data directory lies and who runs the server.

An ordinary user runs the server as himself, with the data in `folder/pgdata`. Postgres refuses to run as root, so root
hands the server to an unprivileged user. Where that user cannot get at `folder` (a home of mode 0700), no permissions
are loosened: the data lie in a folder that he can traverse, and `folder/pgdata.location` says where.
"""

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres.binaries import OWN_SERVER, Account, private_bases, trusted_folder


@dataclass(frozen=True)
class Placement:
    """The data directory, and the account that owns it: None means the one that we are."""

    pgdata: Path
    account: Account | None


def existing(folder: Path) -> Placement | None:
    """Return the placement of a data directory that was made before, or None."""
    for pgdata in (folder / "pgdata", _outside(folder)):
        if pgdata and pgdata.is_dir():
            owner = pgdata.stat()
            return Placement(pgdata, Account(owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None)
    return None


def choose(folder: Path, is_running: Callable[[Path], bool]) -> Placement:
    """Return the placement of a new data directory; its parent exists then.

    Args:
        folder: The folder that the user gave.
        is_running: Whether a server runs on a data directory; such a one is never cleared away.

    """
    if os.geteuid() != 0:
        return Placement(folder / "pgdata", None)
    account = _unprivileged(folder)
    if all(_may_enter(path, account) for path in (folder, *folder.parents)) and _can_give(folder, account):
        return Placement(folder / "pgdata", account)
    for base in private_bases():
        try:
            home = _new_home(trusted_folder(base), folder, is_running)
        except OSError:
            continue
        (folder / "pgdata.location").write_text(f"{home}\n")
        return Placement(home / "pgdata", account)
    raise LakeError(
        f"PostgreSQL does not run as root, and there is no folder for the data of the unprivileged user {account.uid}.",
        next_step=f"Run as an ordinary user, or: {OWN_SERVER}",
    )


def _new_home(base: Path, folder: Path, is_running: Callable[[Path], bool]) -> Path:
    key = _key(folder)
    # Leftovers of a folder that has been deleted since: it would point to them otherwise.
    for leftover in base.glob(f"{key}-*"):
        if not is_running(leftover / "pgdata"):
            shutil.rmtree(leftover, ignore_errors=True)
    return trusted_folder(base / f"{key}-{secrets.token_hex(4)}")


def _outside(folder: Path) -> Path | None:
    """Follow the pointer, unless it was copied along with its folder: two folders never share one data directory."""
    try:
        home = Path((folder / "pgdata.location").read_text().strip())
    except FileNotFoundError:
        return None
    return home / "pgdata" if home.name.startswith(f"{_key(folder)}-") and home.parent in private_bases() else None


def _key(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def _unprivileged(folder: Path) -> Account:
    """Return the owner of the folder when it is not root, otherwise nobody; initdb needs an entry in passwd."""
    import pwd  # POSIX only

    owner = folder.stat()
    if owner.st_uid != 0:
        try:
            pwd.getpwuid(owner.st_uid)
        except KeyError:
            pass
        else:
            return Account(owner.st_uid, owner.st_gid)
    for name in ("nobody", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise LakeError(
        "PostgreSQL does not run as root, and this machine has no unprivileged user 'nobody' to run it.",
        next_step=f"Run as an ordinary user, or: {OWN_SERVER}",
    )


def _may_enter(path: Path, account: Account) -> bool:
    found = path.stat()
    if found.st_uid == account.uid:
        return bool(found.st_mode & 0o100)
    return bool(found.st_mode & (0o010 if found.st_gid == account.gid else 0o001))


def _can_give(folder: Path, account: Account) -> bool:
    """Whether a folder within can be given away: Docker Desktop's mounts ignore it, NFS with root_squash refuses."""
    probe = Path(tempfile.mkdtemp(prefix=".probe-", dir=folder))
    try:
        os.chown(probe, account.uid, account.gid)
        found = probe.stat()
        return found.st_uid == account.uid and found.st_mode & 0o777 == 0o700
    except OSError:
        return False
    finally:
        probe.rmdir()
