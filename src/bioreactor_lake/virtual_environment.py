"""Virtual environments for programs whose releases pin half of what the lake uses in other versions."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bioreactor_lake.errors import LakeError

_DONE = "installed"
# What is secret, or would lead a program to modules of the lake's environment.
_NOT_HANDED_ON = ("BIOREACTOR_LAKE_", "PYTHON", "OPENLINEAGE_", "KEDRO_", "AWS_")


def variables_for_others(*names: str) -> Mapping[str, str]:
    """The environment variables that a program of another environment is told.

    Args:
        *names: Beginnings of others that it is not told.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith((*_NOT_HANDED_ON, *names))}


def ensure_environment(what: str, folder: Path, lock: Path, say: Callable[[str], None]) -> Path:
    """Install what the lock names, unless it is there; uv does it where there is one, and is five times as fast.

    Args:
        what: What people call it.
        folder: Of the virtual environment.
        lock: Names, versions and hashes.
        say: Tells people what takes its time.

    Returns:
        Its Python.

    Raises:
        LakeError: It could not be installed.
    """
    folder = folder.resolve()  # venv makes none where a link is
    python, done = folder / "bin" / "python", folder / _DONE
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if python.exists() and done.exists() and done.read_text() == digest:
        return python
    say(f"{what} is installed into {folder}, which takes a minute or two.")
    shutil.rmtree(folder, ignore_errors=True)
    uv = _find_uv()
    _run([_find_python(what), "-m", "venv", *(["--without-pip"] if uv else []), str(folder)], what, folder)
    installer = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    _run([*installer, "--quiet", "--require-hashes", "-r", str(lock)], what, folder)
    done.write_text(digest)
    return python


def _find_python(what: str) -> str:
    """A Python that these versions of numpy and pandas have wheels for."""
    found = sys.executable if sys.version_info < (3, 13) else shutil.which("python3.12") or shutil.which("python3.11")
    if found is None:
        raise LakeError(
            f"{what} needs Python 3.11 or 3.12, and there is none.",
            kept="The lake is as it was.",
            next_step="Install python3.12, or use one that runs elsewhere.",
        )
    return found


def _find_uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def _run(command: list[str], what: str, folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - as made above
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise LakeError(
            f"{what} could not be installed: {done.stderr.strip()[-800:]}",
            kept="The lake is as it was.",
            next_step="Check the network and the package index, then run the command again.",
        )
