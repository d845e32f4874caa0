"""A bar for each step that takes longer than a few seconds, on a terminal and nowhere else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_AFTER_SECONDS = 3.0
_EVERY_SECONDS = 0.2

Share = Callable[[], float | None]
"""How much of the step's current query is done, from 0 to 100; None where nobody knows."""


@contextmanager
def step(name: str, share: Share = lambda: None) -> Iterator[None]:
    """Show a bar as long as the block lasts, once it has lasted for some seconds."""
    begin(name, share)
    try:
        yield
    finally:
        end()


def begin(name: str, share: Share = lambda: None) -> None:
    """A step begins, within the one that is under way if there is one."""
    if sys.stdout.isatty():
        _steps.append((name, time.monotonic(), share))
        if _threads == [] or not _threads[0].is_alive():
            _threads[:] = [threading.Thread(target=_watch, name="progress", daemon=True)]
            _threads[0].start()


def end() -> None:
    """The innermost step has ended; with the last one the bar is gone when this returns."""
    if not _steps:
        return
    _steps.pop()
    if not _steps:
        _woken.set()
        for thread in _threads:
            thread.join()
        _woken.clear()
        _threads.clear()


_steps: list[tuple[str, float, Share]] = []
_threads: list[threading.Thread] = []
_woken = threading.Event()


def _watch() -> None:
    while _steps:
        shown = _steps[-1:]
        if shown and time.monotonic() - shown[0][1] > _AFTER_SECONDS:
            _show(shown[0])
        _woken.wait(_EVERY_SECONDS)


def _show(shown: tuple[str, float, Share]) -> None:
    """Show a step until it has ended."""
    import rich
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    name, started, share = shown
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeElapsedColumn())
    # On the console of the log, whose lines then go above the bar.
    with Progress(*columns, console=rich.get_console(), transient=True) as progress:
        task = progress.add_task(name, total=None, done="")
        progress.tasks[task].start_time = progress.get_time() - (time.monotonic() - started)
        while _steps[-1:] == [shown]:
            found = share()
            if found is None or not 0 <= found < 100:
                progress.update(task, total=None, done="")
            else:
                progress.update(task, total=100, completed=found, done=f"{found:.0f} % of this query")
            _woken.wait(_EVERY_SECONDS)
