"""What Superset's own virtual environment needs beside its packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


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
