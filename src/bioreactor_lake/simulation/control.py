"""What the controllers do about it: pH by CO2, base and acid, oxygen by a cascade of agitation, air and oxygen.

pH has a deadband: CO2 is sparged above it, base is pumped below it, and between the two nothing happens. So a run
starts on CO2, needs base while lactate builds up and comes back to CO2 when the cells eat the lactate. The oxygen
cascade is solved, not stepped: the vessel settles within minutes, so at each time the controller output is the one
whose supply meets the uptake.
"""

from dataclasses import dataclass

import numpy as np

from bioreactor_lake.simulation.culture import STEP_H, Culture, Series
from bioreactor_lake.simulation.recipe import Recipe

PH_BAND = 0.1
BUFFER = 36.0  # mmol/(L pH)
BASE_MOL = 2.0  # mol/L
CO2_MAX = 0.12  # L/min
DOSE_ML = 8.0  # of base or acid in one step
O2_IN_AIR = 0.2095
SATURATION = 0.20  # mmol/L of oxygen in medium under air
MMOL_IN_LITRE = 40.0  # of gas at 1.2 bar and 20 °C, rounded


@dataclass(frozen=True)
class Control:
    """Controlled and manipulated quantities on the grid of the culture.

    Attributes:
        ph: pH.
        base_added: Total since the start, mL.
        acid_added: Total since the start, mL.
        do: What the probe shows, % of air saturation; with a drifting probe that is not what the cells have.
        do_drift: Error of the probe, %.
        agitation: 1/min.
        air_flow: L/min.
        o2_flow: L/min.
        co2_flow: L/min.
        off_gas_o2: Mole share in dry off-gas, %.
        off_gas_co2: Mole share in dry off-gas, %.
    """

    ph: Series
    base_added: Series
    acid_added: Series
    do: Series
    do_drift: Series
    agitation: Series
    air_flow: Series
    o2_flow: Series
    co2_flow: Series
    off_gas_o2: Series
    off_gas_co2: Series


def control(recipe: Recipe, culture: Culture) -> Control:
    """Work out what the loops of the reactor do with one culture."""
    ph, base, acid, co2_flow = _ph_loop(recipe, culture)
    drift = _drift(recipe, culture.hour)
    # The controller acts on what it saw half an hour ago: invisible while a probe drifts, a dip when it is replaced.
    seen = np.concatenate([np.zeros(5), drift[:-5]])
    do, agitation, air_flow, o2_flow = _cascade(recipe.do_sp - seen, culture)
    o2_in = O2_IN_AIR * air_flow + o2_flow
    uptake = culture.oxygen_uptake * culture.litres / MMOL_IN_LITRE / 60.0  # L/min
    total = air_flow + o2_flow + co2_flow
    return Control(
        ph=ph,
        base_added=base,
        acid_added=acid,
        # A bolus wakes the cells faster than the loop can follow.
        do=do + drift - 6.0 * culture.feed / (culture.feed + 0.3),
        do_drift=drift,
        agitation=agitation,
        air_flow=air_flow,
        o2_flow=o2_flow,
        co2_flow=co2_flow,
        off_gas_o2=100.0 * (o2_in - uptake) / total,
        # Respiratory quotient of about 1; sparged CO2 leaves again with a delay that is left out here.
        off_gas_co2=100.0 * (0.0004 * air_flow + co2_flow * 0.9 + uptake) / total,
    )


def _ph_loop(recipe: Recipe, culture: Culture) -> tuple[Series, Series, Series, Series]:
    """Step pH, base (mL), acid (mL) and CO2 flow (L/min): a linear buffer, strong ions and a slow gas phase."""
    upper, lower = recipe.ph_sp + PH_BAND, recipe.ph_sp - PH_BAND
    # Lactate at 90 g/mol takes pH down, ammonia up; CO2 of the cells themselves, up a little per 10^6/mL, down as well.
    free = (
        recipe.ph_media
        - (culture.lactate - culture.lactate[0]) / 0.090 / BUFFER
        + 0.6 * (culture.ammonia - culture.ammonia[0]) / BUFFER
        - 0.006 * culture.vcd
    )
    rows = np.empty((len(free), 4))
    base = acid = integral = dissolved = shift = 0.0
    pumping = False
    for step, (natural, litres) in enumerate(zip(free.tolist(), culture.litres.tolist(), strict=True)):
        ph = natural + shift - 4.0 * dissolved
        over = ph - upper
        integral = min(max(integral + STEP_H * 0.2 * over, 0.0), CO2_MAX)
        co2 = min(max(0.3 * over + integral, 0.0), CO2_MAX) if integral > 0.0 else 0.0
        dissolved += (co2 - dissolved) * STEP_H / 1.2
        pumping = ph < lower or (pumping and ph < lower + 0.015)
        per_ml = BASE_MOL / litres / BUFFER
        if pumping:
            base += DOSE_ML
            shift += DOSE_ML * per_ml
        elif over > 0.02 and co2 >= CO2_MAX:
            # More CO2 would harm the cells.
            acid += DOSE_ML / 4
            shift -= DOSE_ML / 4 * per_ml
        rows[step] = (ph, base, acid, co2)
    ph_series, base_series, acid_series, co2_series = rows.T.copy()
    return ph_series, base_series, acid_series, co2_series


def _cascade(target: Series, culture: Culture) -> tuple[Series, Series, Series, Series]:
    """Solve DO (%), agitation (1/min), air and oxygen flow (L/min) for a wanted DO by bisecting the output."""
    low, high = np.zeros_like(target), np.ones_like(target)
    for _ in range(14):
        middle = (low + high) / 2.0
        enough = _settled_do(middle, culture.oxygen_uptake) >= target
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    output = np.where(_settled_do(np.zeros_like(target), culture.oxygen_uptake) >= target, 0.0, high)
    settled = _settled_do(output, culture.oxygen_uptake)
    # The medium comes saturated with air.
    start = np.maximum(0.0, 94.0 - settled[0]) * np.exp(-culture.hour / 3.0)
    return np.clip(settled + start, 0.0, 120.0), *_actuators(output)


def _actuators(output: Series) -> tuple[Series, Series, Series]:
    """Split the controller output, 0 to 1: agitation (1/min) goes up first, then air, then pure oxygen (L/min)."""
    agitation = 85.0 + 75.0 * np.clip(output / 0.4, 0.0, 1.0)
    air_flow = 0.4 + 0.6 * np.clip((output - 0.4) / 0.2, 0.0, 1.0)
    o2_flow = 1.6 * np.clip((output - 0.6) / 0.4, 0.0, 1.0)
    return agitation, air_flow, o2_flow


def _settled_do(output: Series, oxygen_uptake: Series) -> Series:
    """DO (%) at which transfer meets uptake; kLa after the usual power law of stirring and gas flow, 2 to 15 1/h."""
    agitation, air_flow, o2_flow = _actuators(output)
    gas = air_flow + o2_flow
    kla = 3.0 * (agitation / 100.0) ** 1.5 * (gas / 0.5) ** 0.6
    saturated = 100.0 * (O2_IN_AIR * air_flow + o2_flow) / gas / O2_IN_AIR
    return np.asarray(saturated - 100.0 * oxygen_uptake / (kla * SATURATION))


def _drift(recipe: Recipe, hour: Series) -> Series:
    """Error of a drifting DO probe, %: it grows for three days, then the probe is calibrated again."""
    if recipe.fault != "do_probe_drift":
        return np.zeros_like(hour)
    since = hour - recipe.fault_hour
    return np.where((since > 0) & (since < 72), since * 0.3, 0.0)
