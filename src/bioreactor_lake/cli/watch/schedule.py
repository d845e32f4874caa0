"""When the next run begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Schedule:
    """Says when a run is due: at the start, when files have changed, and again some time after one failed.

    Times are seconds of a clock that only goes forward.

    Args:
        retry_seconds: How long nothing is tried after a failure.
        longest_retry_seconds: How long at most, after many.
    """

    retry_seconds: float
    longest_retry_seconds: float
    due_at: float | None = 0.0
    failures: int = 0
    _earliest: float = 0.0
    _running: bool = False
    _changed_meanwhile: bool = False

    def change(self, now: float) -> None:
        """Files have changed that a run should see."""
        if self._running:
            self._changed_meanwhile = True
        else:
            # What failed may go well with other files, but not in a busy loop.
            at = max(now, self._earliest)
            self.due_at = at if self.due_at is None else min(self.due_at, at)

    def is_due(self, now: float) -> bool:
        """Whether a run has to begin now."""
        return not self._running and self.due_at is not None and self.due_at <= now

    def begin(self) -> None:
        """A run begins, which will see every change up to now."""
        self._running, self._changed_meanwhile, self.due_at = True, False, None

    def end(self, now: float, *, success: bool) -> None:
        """The run has ended.

        >>> schedule = Schedule(5, 300)
        >>> for second in (0, 10, 30):
        ...     schedule.begin()
        ...     schedule.end(second, success=False)
        ...     print(schedule.due_at)
        5
        20
        50
        >>> schedule.change(31)
        >>> schedule.due_at
        35
        """
        self._running = False
        if success:
            self.failures, self._earliest = 0, now
            self.due_at = now if self._changed_meanwhile else None
            return
        self.failures += 1
        self._earliest = now + self.retry_seconds
        wait = min(self.retry_seconds * 2 ** (self.failures - 1), self.longest_retry_seconds)
        self.due_at = self._earliest if self._changed_meanwhile else now + wait
