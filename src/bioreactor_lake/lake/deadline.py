"""When a scheduled run has to be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from bioreactor_lake.errors import UsageError

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Deadline:
    """A run of every day, and the time by which it has to be done.

    Args:
        start: When it is started, in its zone.
        end: When it has to be done; a time before the start is one of the next day.
        zone: The zone of both.
    """

    start: time
    end: time
    zone: ZoneInfo

    def newest(self, now: datetime) -> tuple[datetime, datetime]:
        """Start and end of the newest run that has to be done by now.

        >>> nightly = read_deadline("02:00", "02:15", "Europe/Zurich")
        >>> for moment in nightly.newest(datetime.fromisoformat("2026-07-02T00:14+00:00")): print(moment)
        2026-07-01 02:00:00+02:00
        2026-07-01 02:15:00+02:00
        """
        today = now.astimezone(self.zone).date()
        end = datetime.combine(today, self.end, self.zone)
        if end > now:
            end = datetime.combine(today - _DAY, self.end, self.zone)
        before = end.date() - (_DAY if self.end < self.start else timedelta())
        return datetime.combine(before, self.start, self.zone), end


def read_deadline(start: str, end: str, zone: str) -> Deadline:
    """A deadline as people write it: two times such as 02:00, and a zone such as Europe/Zurich.

    Raises:
        UsageError: One of them means nothing.
    """
    try:
        known = ZoneInfo(zone)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"There is no time zone {zone!r}.", next_step="Use one such as Europe/Zurich or UTC."
        ) from error
    return Deadline(_read_time(start), _read_time(end), known)


def _read_time(text: str) -> time:
    try:
        read = time.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is not None:
        raise UsageError(f"{text!r} is no time of day.", next_step="Use hours and minutes, such as 02:15.")
    return read
