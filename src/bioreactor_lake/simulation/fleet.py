"""Which reactor runs which batch, and when: reactors work side by side, the batches of one follow one another."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SITES = ("Basel", "Cork")
DEFAULT_START = datetime(2026, 1, 5, 6, tzinfo=UTC)
DEFAULT_REACTORS = 12

# A run lasts at most 14.5 days; the rest of the slot is cleaning, sterilisation and the jitter of the inoculation.
SLOT = timedelta(days=18)
MAX_JITTER = timedelta(hours=8)


@dataclass(frozen=True)
class Slot:
    """One batch in the schedule of the fleet.

    Attributes:
        batch_id: Name of the batch, B-0001 and on.
        equipment_id: Reactor, e.g. BR-101 (first of Basel) or BR-202 (second of Cork).
        site: Where the reactor stands.
        earliest_start: UTC; inoculation is at most `MAX_JITTER` later.
    """

    batch_id: str
    equipment_id: str
    site: str
    earliest_start: datetime


def slot(number: int, *, start: datetime = DEFAULT_START, reactors: int = DEFAULT_REACTORS) -> Slot:
    """Look up a batch in the schedule, which is the same however many batches are simulated.

    Args:
        number: Batch number from 1.
        start: Earliest start of the first batch; a naive one is taken as UTC.
        reactors: Size of the fleet, spread over the sites in turn.

    >>> slot(5, reactors=3).equipment_id, str(slot(5, reactors=3).earliest_start)
    ('BR-201', '2026-01-29 06:00:00+00:00')
    """
    if number < 1 or reactors < 1:
        raise ValueError(f"Batches and reactors are counted from 1, not {number} of {reactors}.")
    turn, reactor = divmod(number - 1, reactors)
    position, site = divmod(reactor, len(SITES))
    # Whole hours, so that staggered reactors are inoculated by the day shift or nearly so.
    stagger = timedelta(hours=int(SLOT / timedelta(hours=1)) * reactor // reactors)
    zoned = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
    return Slot(
        batch_id=f"B-{number:04d}",
        equipment_id=f"BR-{100 * (site + 1) + position + 1}",
        site=SITES[site],
        earliest_start=zoned + turn * SLOT + stagger,
    )
