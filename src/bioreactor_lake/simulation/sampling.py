"""From true series to readings: when a tag is scanned, which scans are lost, and which are written.

Values are whole multiples of an instrument's resolution before anything is compared, so that a deadband decides the
same on every processor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bioreactor_lake.simulation.culture import STEP_H, Series
from bioreactor_lake.simulation.sensors import OnlineTag, SampleTag

GOOD, UNCERTAIN, BAD = 0, 1, 2
QUALITIES = ("good", "uncertain", "bad")
MS_PER_HOUR = 3_600_000
# A tag logged by exception is written at least this often, in scans: silence must differ from a lost signal.
HEARTBEAT_SCANS = 50

Millis = NDArray[np.int64]
Codes = NDArray[np.int8]
Gaps = NDArray[np.float64]


@dataclass(frozen=True)
class Readings:
    """The readings of one tag in order of time.

    Attributes:
        at_ms: Milliseconds since inoculation, strictly increasing.
        value: In the unit of the tag.
        quality: Codes into `QUALITIES`.
    """

    at_ms: Millis
    value: Series
    quality: Codes


def draw_gaps(rng: np.random.Generator, hours: float, mean_count: float, longest_h: float) -> Gaps:
    """Draw when a signal is lost: rows of begin and end in hours, most of them short."""
    count = int(rng.poisson(mean_count))
    begin = np.sort(rng.uniform(1.0, hours - longest_h, count))
    return np.column_stack([begin, begin + longest_h * rng.uniform(0.15, 1.0, count) ** 2])


def scan(rng: np.random.Generator, hours: float, interval_h: float, gaps: Gaps) -> tuple[Millis, NDArray[np.bool_]]:
    """Time the scans of one tag, ms, and mark those that come just after a gap.

    Clocks of control systems are regular but not exact: each scan comes up to 2 % of the interval, at most 0.2 s, late.
    """
    count = max(2, round(hours / interval_h))
    interval_ms = hours * MS_PER_HOUR / count
    late = rng.integers(0, max(1, int(min(200.0, 0.02 * interval_ms))), count)
    phase = rng.random() * 0.9 * interval_ms
    at_ms = (np.arange(count) * interval_ms + phase).astype(np.int64) + late
    lost = np.zeros(count, dtype=bool)
    for begin, end in gaps * MS_PER_HOUR:
        lost[np.searchsorted(at_ms, begin) : np.searchsorted(at_ms, end)] = True
    fresh = np.zeros(count, dtype=bool)
    fresh[1:] = lost[:-1]
    return at_ms[~lost], fresh[~lost]


def read_online(
    rng: np.random.Generator, tag: OnlineTag, true: Series, at_ms: Millis, fresh: NDArray[np.bool_]
) -> Readings:
    """Read one on-line tag at the given scans."""
    hour = at_ms / MS_PER_HOUR
    if tag.stepped:
        # A pump is on or off, and a totaliser must not run ahead of it.
        value = true[np.minimum((hour / STEP_H).astype(np.int64), len(true) - 1)]
    else:
        value = np.interp(hour, np.arange(len(true)) * STEP_H, true)
    quality = np.zeros(len(at_ms), dtype=np.int8)
    if tag.noise:
        knots = np.arange(0.0, len(true) * STEP_H + 3.0, 1.5)
        # A closed valve or a pump that stands still does not wander.
        moving = 1.0 if tag.deadband is None else np.minimum(1.0, value / (10 * tag.noise))
        value = value + moving * (
            tag.noise * rng.standard_normal(len(at_ms))
            + tag.wander * np.interp(hour, knots, rng.standard_normal(len(knots)))
        )
    if tag.deadband is None:
        struck = rng.choice(len(at_ms), size=min(len(at_ms), int(rng.poisson(0.0004 * len(at_ms)))), replace=False)
        value[struck] += tag.noise * rng.choice([-1.0, 1.0], len(struck)) * rng.uniform(8, 25, len(struck))
        quality[fresh] = UNCERTAIN
        quality[struck] = BAD
    scale = 10**tag.decimals
    steps = np.rint(np.maximum(value, tag.low) * scale).astype(np.int64)
    if tag.deadband is not None:
        kept = _by_exception(steps, round(tag.deadband * scale))
        at_ms, steps, quality = at_ms[kept], steps[kept], quality[kept]
    return Readings(at_ms, steps / scale, quality)


def read_samples(rng: np.random.Generator, tag: SampleTag, true: Series, at_ms: Millis, quality: Codes) -> Readings:
    """Read what the laboratory reports of samples drawn at the given times."""
    value = np.interp(at_ms / MS_PER_HOUR, np.arange(len(true)) * STEP_H, true)
    error = rng.standard_normal(len(at_ms)) * (1.0 + 2.0 * (quality != GOOD))
    value = np.clip(value + error * (tag.relative * value + tag.absolute), 0.0, tag.high)
    scale = 10**tag.decimals
    return Readings(at_ms, np.rint(value * scale) / scale, quality)


def _by_exception(steps: NDArray[np.int64], deadband: int) -> NDArray[np.int64]:
    """Choose the scans whose value left the deadband around the last written one, and a heartbeat.

    >>> _by_exception(np.array([5, 5, 6, 8, 7, 6, 5]), 2).tolist()
    [0, 3, 5]
    """
    written = [0]
    last, last_at = int(steps[0]), 0
    # Sequential by nature: what is written depends on what was written last.
    for at, step in enumerate(steps.tolist()):
        if step - last >= deadband or last - step >= deadband or at - last_at >= HEARTBEAT_SCANS:
            written.append(at)
            last, last_at = step, at
    return np.array(written, dtype=np.int64)
