"""What is particular to one batch: its cells, its set points, its sampling times and, rarely, its fault."""

from dataclasses import dataclass

import numpy as np

from bioreactor_lake.simulation.fleet import MAX_JITTER

FAULTS = ("do_probe_drift", "contamination", "feed_blockage")
FAULT_SHARE = 1 / 12
MAX_HOURS = 14.5 * 24


@dataclass(frozen=True)
class Recipe:
    """Parameters of one batch. Hours count from inoculation; cells are in 10^9 per L, the same as 10^6 per mL.

    Attributes:
        delay_s: Seconds between the earliest and the real inoculation.
        hours: Duration of the run.
        inoculum: Viable cells at the start, 10^6/mL.
        start_litres: Liquid at the start, L, in a 50 L vessel.
        mu_max: Fastest growth at 37 °C, 1/h.
        lag: Hours until half of the growth rate is reached.
        capacity: Viable cells at which growth stops, 10^6/mL.
        death: Death rate at the end of a 14 day run, 1/h.
        productivity: Product per cell, pg/h.
        lactate_yield: Lactate made of the glucose taken up in the growth phase, g/g.
        shift_hour: When the temperature set point goes from 37 to `production_c`.
        production_c: Temperature of the production phase, °C.
        ph_media: pH of the medium before CO2 is sparged.
        ph_sp: Middle of the pH deadband.
        do_sp: Set point of dissolved oxygen, % of air saturation.
        continuous_feed: Fed all day at a rate set daily, or else as one bolus a day.
        feed_start: Hour of the first feed.
        glucose_target: Glucose that a feed aims at, g/L.
        sample_hours: When off-line samples are drawn.
        fault: One of `FAULTS`, or empty.
        fault_hour: When the fault begins.
    """

    delay_s: int
    hours: float
    inoculum: float
    start_litres: float
    mu_max: float
    lag: float
    capacity: float
    death: float
    productivity: float
    lactate_yield: float
    shift_hour: float
    production_c: float
    ph_media: float
    ph_sp: float
    do_sp: float
    continuous_feed: bool
    feed_start: float
    glucose_target: float
    sample_hours: tuple[float, ...]
    fault: str
    fault_hour: float


def draw_recipe(rng: np.random.Generator) -> Recipe:
    """Draw a batch: 3 to 15 % between batches, as in a process that is under control but not yet well understood."""

    def about(mean: float, share: float) -> float:
        # Within 2.5 standard deviations: no batch of a thousand should be absurd.
        return mean * (1 + share * float(np.clip(rng.standard_normal(), -2.5, 2.5)))

    fault = str(rng.choice(FAULTS)) if rng.random() < FAULT_SHARE else ""
    fault_hour = float(rng.uniform(132, 216))
    hours = min(about(14 * 24, 0.012), MAX_HOURS)
    if fault == "contamination":
        # Nobody goes on with a contaminated run: it is noticed and ended within two days.
        hours = fault_hour + float(rng.uniform(30, 48))
    days = np.arange(1, 15) * 24.0 + rng.normal(0, 0.7, 14)
    samples = [0.5, *(round(float(day), 2) for day in days if day < hours - 4), round(hours - 0.4, 2)]
    return Recipe(
        delay_s=int(rng.integers(0, int(MAX_JITTER.total_seconds()))),
        hours=hours,
        inoculum=about(0.5, 0.08),
        start_litres=about(35, 0.01),
        mu_max=about(0.043, 0.025),
        lag=about(9, 0.3),
        capacity=about(32, 0.08),
        death=about(0.0029, 0.15),
        productivity=about(0.9, 0.1),
        lactate_yield=about(0.62, 0.08),
        shift_hour=about(120, 0.03),
        production_c=33.0,
        ph_media=about(7.28, 0.003),
        ph_sp=7.0,
        do_sp=40.0,
        continuous_feed=bool(rng.random() < 0.4),
        feed_start=73.0 + float(rng.uniform(0.0, 1.0)),
        glucose_target=about(3.0, 0.08),
        sample_hours=tuple(samples),
        fault=fault,
        fault_hour=fault_hour,
    )
