"""What a watch knows of its lake and of itself, for those who ask."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from bioreactor_lake.lake.freshness import LAYERS

_STATUSES = {0: "completed", 3: "held", 2: "usage", 4: "locked", 130: "interrupted", 143: "interrupted"}
SUCCESSES = (0, 3)
"""Exit codes of runs that published what there was to publish."""

KILLED = "killed"
"""What a run is called whose process ended without a word."""

# A worker says every two seconds that it lives; a machine that is short of memory may take its time.
_SILENT_SECONDS = 60
# A restart takes seconds.
_DEAD_SECONDS = 120


@dataclass
class WatchState:
    """Changed by the watch, read by whoever asks; all under `lock`.

    Args:
        numbers: As of `datasets.lake_numbers`.
        runs: How many runs ended in each way.
        run_seconds: How long each run took; taken over by the metrics.
        running_since: When the run that is under way began, seconds since 1970; None where none is.
        last_code: Exit code of the last run; None before the first has ended.
        last_error: What it said.
        last_end: When it ended, seconds since 1970.
        last_success: When the last one that succeeded did, likewise.
        locked_by: Who has the warehouse that a run waits for.
        unreachable: Why the raw files cannot be listed.
        unfinished: How many files are waited for to be whole.
        worker_heard_at: When the worker last gave a sign of life, by a clock that only goes forward.
        worker_starts: How often a worker was started.
        ticked_at: When the watch itself last did something.
    """

    numbers: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    run_seconds: list[float] = field(default_factory=list)
    running_since: float | None = None
    last_code: int | None = None
    last_error: str = ""
    last_end: float | None = None
    last_success: float | None = None
    locked_by: str = ""
    unreachable: str = ""
    unfinished: int = 0
    worker_heard_at: float = field(default_factory=time.monotonic)
    worker_starts: int = 0
    ticked_at: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def end_run(self, code: int | None, error: str, seconds: float, numbers: dict[str, Any], now: float) -> None:
        """A run has ended.

        Args:
            code: Its exit code; None where its process was killed.
            error: What it said.
            seconds: How long it took.
            numbers: What is known of the lake after it.
            now: Seconds since 1970.
        """
        with self.lock:
            status = KILLED if code is None else _STATUSES.get(code, "failed")
            self.runs[status] = self.runs.get(status, 0) + 1
            self.run_seconds.append(seconds)
            self.numbers.update(numbers)
            self.last_code, self.last_error, self.last_end = -1 if code is None else code, error, now
            self.running_since, self.locked_by = None, ""
            if code in SUCCESSES:
                self.last_success = now
                self.numbers["up_to_date"] = dict.fromkeys(LAYERS, now)

    def why_not_healthy(self, now: float) -> str:
        """Why the watch should be started anew, or nothing.

        Args:
            now: By the clock that only goes forward.
        """
        with self.lock:
            if now - self.ticked_at > _SILENT_SECONDS:
                return "the watch stands still"
            if now - self.worker_heard_at > _DEAD_SECONDS:
                return f"its worker has given no sign of life for {now - self.worker_heard_at:.0f} s"
        return ""

    def why_not_ready(self) -> str:
        """Why the marts may not be as new as the raw files, or nothing."""
        with self.lock:
            if self.locked_by:
                return f"a run waits for the warehouse: {self.locked_by}"
            if self.unreachable:
                return self.unreachable
            if self.last_code is None:
                return "the first run has not ended yet"
            if self.last_code not in SUCCESSES:
                return f"the last run failed: {self.last_error or 'it was killed'}"
        return ""
