"""What the cells do: growth, death, substrates, by-products and product on a grid of six minutes.

Unstructured kinetics as taught for CHO fed-batches: Monod growth on glucose, weakened by missing glutamine, by ammonia,
by crowding and with age; death that rises with age; lactate made while growth is fast and eaten afterwards; product per
living cell, more of it in the cold. Orders of magnitude are those commonly published: doubling in about 20 h,
13-18 x 10^6 cells/mL at the peak on day 6 to 10, 100-400 pg glucose and 20-30 pg product per cell and day, 3-5 g/L
at harvest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bioreactor_lake.simulation.recipe import Recipe

STEP_H = 0.1
FEED_GLUCOSE = 75.0  # g/L
FEED_GLUTAMINE = 12.0  # mmol/L
BOLUS_H = 0.8
SAMPLE_LITRES = 0.05
BLOCKAGE_H = 30.0

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Culture:
    """True states on the grid, one value per six minutes.

    Attributes:
        hour: Hours since inoculation.
        temperature: °C.
        vcd: Viable cells, 10^6/mL.
        viability: Viable share of all cells, %.
        glucose: g/L.
        lactate: g/L.
        glutamine: mmol/L.
        ammonia: mmol/L.
        titer: g/L.
        litres: Liquid without the base and acid that the pH control adds, L.
        feed: Feed pumped, L/h.
        oxygen_uptake: mmol/(L h).
    """

    hour: Series
    temperature: Series
    vcd: Series
    viability: Series
    glucose: Series
    lactate: Series
    glutamine: Series
    ammonia: Series
    titer: Series
    litres: Series
    feed: Series
    oxygen_uptake: Series


def grow(recipe: Recipe) -> Culture:
    """Integrate one batch with Euler steps, which are short against every time constant of the cells."""
    hour = np.arange(0.0, recipe.hours + STEP_H, STEP_H)
    temperature = _temperature(recipe, hour)
    xv, dead, glc, lac, gln, amm, titer = recipe.inoculum, 0.02 * recipe.inoculum, 6.5, 0.15, 7.0, 0.4, 0.0
    litres, feed, feed_until, next_feed = recipe.start_litres, 0.0, 0.0, recipe.feed_start
    draws = {round(at / STEP_H) for at in recipe.sample_hours}
    rows = np.empty((len(hour), 10))
    # Plain floats in a plain loop: each step needs the one before, and numpy scalars would be ten times slower.
    for step, (now, celsius) in enumerate(zip(hour.tolist(), temperature.tolist(), strict=True)):
        warmth = (celsius - 33.0) / 4.0
        foreign = max(0.0, now - recipe.fault_hour) if recipe.fault == "contamination" else 0.0
        age = now / 336.0
        mu = (
            recipe.mu_max
            * (0.38 + 0.62 * warmth)
            * ((now * now + 1.0) / (now * now + recipe.lag * recipe.lag))
            * (glc / (glc + 0.15))
            * (0.6 + 0.4 * gln / (gln + 0.3))
            / (1.0 + amm * amm / 144.0)
            * max(0.0, 1.0 - xv / recipe.capacity)
            * max(0.0, 1.0 - age * age)
        )
        death = 0.0004 + recipe.death * age * age * age + 0.012 * 0.03 / (0.03 + glc) + 0.0009 * foreign
        eager = mu / (mu + 0.010)
        q_glc = (mu / 4.0 + 0.0046 * (0.75 + 0.25 * warmth)) * glc / (glc + 0.1)
        q_lac_used = 0.0026 * (1.0 - eager) * lac / (lac + 0.4)
        q_gln = 0.021 * gln / (gln + 0.6) * (0.25 + 0.75 * eager)
        # Contaminants eat and acidify too; their uptake doubles within hours.
        stolen = min(0.6, 0.02 * foreign) * glc / (glc + 0.5)
        oxygen = xv * 0.27 * (0.72 + 0.28 * warmth) * (0.8 + 0.2 * eager) + 4.0 * min(1.0, foreign / 24.0)
        rows[step] = (xv, 100.0 * xv / (xv + dead), glc, lac, gln, amm, titer, litres, feed, oxygen)

        if now >= next_feed:
            expected = q_glc * xv * 24.0 + max(0.0, recipe.glucose_target - glc)
            dose = min(max(expected * litres / (FEED_GLUCOSE - recipe.glucose_target), 0.15), 0.06 * litres)
            lasting = 24.0 if recipe.continuous_feed else BOLUS_H
            # Pumps are set to round numbers, mL/h.
            feed, feed_until, next_feed = round(dose / lasting, 3), now + lasting - STEP_H / 2, next_feed + 24.0
        if now >= feed_until or now > recipe.hours - 12.0:
            feed = 0.0
        blocked = recipe.fault == "feed_blockage" and recipe.fault_hour <= now < recipe.fault_hour + BLOCKAGE_H
        feed = 0.0 if blocked else feed

        thin = feed / litres
        glc_in, gln_in = FEED_GLUCOSE * thin, FEED_GLUTAMINE * thin
        gln_spoiled = 0.0015 * gln
        d_xv = (mu - death) * xv - thin * xv
        d_dead = death * xv - 0.0035 * dead - thin * dead
        d_glc = glc_in - q_glc * xv - stolen - thin * glc
        d_lac = recipe.lactate_yield * eager * q_glc * xv - q_lac_used * xv + 0.7 * stolen - thin * lac
        d_gln = gln_in - q_gln * xv - gln_spoiled - thin * gln
        d_amm = 0.62 * q_gln * xv + gln_spoiled - 0.0007 * (1.0 - eager) * xv * amm / (amm + 2.0) - thin * amm
        d_titer = 0.001 * recipe.productivity * (1.25 - 0.35 * warmth) * xv - thin * titer
        xv, dead = max(0.0, xv + STEP_H * d_xv), max(0.0, dead + STEP_H * d_dead)
        glc, lac = max(0.0, glc + STEP_H * d_glc), max(0.0, lac + STEP_H * d_lac)
        gln, amm = max(0.0, gln + STEP_H * d_gln), max(0.0, amm + STEP_H * d_amm)
        titer += STEP_H * d_titer
        # Humid off-gas takes about 1.5 mL/h along.
        litres += STEP_H * (feed - 0.0015) - (SAMPLE_LITRES if step in draws else 0.0)
    return Culture(hour, temperature, *rows.T.copy())


def _temperature(recipe: Recipe, hour: Series) -> Series:
    """Cooler inoculum warming up, then the shift as the jacket follows it; °C."""
    since_shift = np.maximum(0.0, hour - recipe.shift_hour)
    shift = (recipe.production_c - 37.0) * (1.0 - np.exp(-since_shift / 1.3))
    return np.asarray(37.0 - 0.6 * np.exp(-hour / 0.7) + shift)
