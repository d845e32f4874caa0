"""The files of pages: one for each run, the newest as `latest.html` beside them, of old ones as many as are kept."""

from __future__ import annotations

import os
import re
from pathlib import Path

LATEST = "latest.html"
_HEAD = 1_000
_OF_A_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.html")


def write_page(path: Path, text: str) -> None:
    """Write a page, so that nobody sees half of it.

    Raises:
        OSError: It cannot be written; what was there is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def is_latest(folder: Path, state: str) -> bool:
    """Whether the newest page is about a state."""
    try:
        with (folder / LATEST).open(encoding="utf-8") as page:
            return f'name="lake-state" content="{state}"' in page.read(_HEAD)
    except (OSError, ValueError):
        return False


def keep_page(folder: Path, run_id: str, text: str, *, keep: int) -> Path:
    """Write the page of a run and delete the oldest ones; files that are no pages of runs stay.

    Args:
        folder: Where the pages are.
        run_id: The run, a UUIDv7, which sorts by start.
        text: The page.
        keep: How many to keep.

    Raises:
        OSError: It cannot be written.
    """
    path = folder / f"{run_id}.html"
    write_page(path, text)
    write_page(folder / LATEST, text)
    pages = sorted(one for one in folder.iterdir() if _OF_A_RUN.fullmatch(one.name))
    for old in pages[: max(len(pages) - keep, 0)]:
        old.unlink(missing_ok=True)
    return path
