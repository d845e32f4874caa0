"""Superset's own virtual environment: its releases pin half of what the lake uses in other versions."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bioreactor_lake.errors import LakeError

_DONE = "installed"


def ensure_environment(folder: Path, lock: Path, say: Callable[[str], None]) -> Path:
    """Install what the lock names, unless it is there; uv does it where there is one, and is five times as fast.

    Args:
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
    say(f"Superset is installed into {folder}, which takes a minute or two.")
    shutil.rmtree(folder, ignore_errors=True)
    uv = _find_uv()
    _run([_find_python(), "-m", "venv", *(["--without-pip"] if uv else []), str(folder)], folder)
    installer = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    _run([*installer, "--quiet", "--require-hashes", "-r", str(lock)], folder)
    done.write_text(digest)
    return python


def link_browser(python: Path, folder: Path) -> bool:
    """Let Playwright of the environment find the machine's Chromium, unless it has a browser of its own.

    Args:
        python: Of the environment.
        folder: Where Playwright looks for browsers.

    Returns:
        Whether there is a browser, without which no report can be made.
    """
    ask = "from playwright.sync_api import sync_playwright as p\nwith p() as one: print(one.chromium.executable_path)"
    answer = subprocess.run(  # noqa: S603 - our own environment
        [str(python), "-c", ask],
        env={**os.environ, "PLAYWRIGHT_BROWSERS_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = Path(answer.stdout.strip())
    if answer.returncode or not expected.is_relative_to(folder):
        return False
    # The browser that is launched without a window is another file than the one that is told.
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    for path in (expected, _without_window(expected)):
        if not path.exists() and found:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(found)
    return expected.exists()


def _without_window(expected: Path) -> Path:
    build = expected.relative_to(expected.parents[1])
    browser, _, number = expected.parents[1].name.rpartition("-")
    if browser != "chromium":
        return expected
    platform = build.parts[0].replace("chrome-", "chrome-headless-shell-", 1)
    return expected.parents[2] / f"chromium_headless_shell-{number}" / platform / "chrome-headless-shell"


def _find_python() -> str:
    """A Python that Superset's versions of numpy and pandas have wheels for."""
    found = sys.executable if sys.version_info < (3, 13) else shutil.which("python3.12") or shutil.which("python3.11")
    if found is None:
        raise LakeError(
            "Superset needs Python 3.11 or 3.12, and there is none.",
            kept="The lake is as it was.",
            next_step="Install python3.12, or use a Superset elsewhere: kedro lake superset deploy",
        )
    return found


def _find_uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - as made above
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise LakeError(
            f"Superset could not be installed: {done.stderr.strip()[-800:]}",
            kept="The lake is as it was.",
            next_step="Check the network and the package index, then run the command again.",
        )
