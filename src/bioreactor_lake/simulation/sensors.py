"""What is measured and how it is written down: the tags of a production run, their units, resolution and logging."""

from dataclasses import dataclass

from bioreactor_lake.simulation.control import Control
from bioreactor_lake.simulation.culture import Culture, Series


@dataclass(frozen=True)
class OnlineTag:
    """A quantity that an instrument in the reactor reports.

    Attributes:
        name: Canonical tag.
        unit: Unit of measure.
        decimals: Digits after the point that the instrument shows.
        noise: Standard deviation from reading to reading, in `unit`.
        wander: Standard deviation of what changes over hours, in `unit`.
        rate: Readings relative to the fastest tags; of the scans, where `deadband` is set.
        deadband: Smallest change that is written, in `unit`; none where every reading is.
        stepped: Jumps between set values instead of moving from one to the next.
        low: Smallest value that the instrument can show.
    """

    name: str
    unit: str
    decimals: int
    noise: float
    wander: float
    rate: float = 1.0
    deadband: float | None = None
    stepped: bool = False
    low: float = 0.0


@dataclass(frozen=True)
class SampleTag:
    """A quantity that the laboratory finds in a sample.

    Attributes:
        name: Canonical tag.
        unit: Unit of measure.
        decimals: Digits that are reported.
        relative: Standard deviation of the method as a share of the value.
        absolute: Standard deviation that remains near zero, in `unit`.
        high: Largest value that can be reported.
    """

    name: str
    unit: str
    decimals: int
    relative: float
    absolute: float
    high: float = float("inf")


ONLINE = (
    OnlineTag("temperature", "°C", 2, noise=0.025, wander=0.02),
    OnlineTag("ph", "pH", 3, noise=0.004, wander=0.004),
    OnlineTag("do", "%", 1, noise=0.8, wander=1.1),
    OnlineTag("pressure", "bar", 3, noise=0.002, wander=0.001, rate=0.5),
    OnlineTag("weight", "kg", 2, noise=0.02, wander=0.02, rate=0.5),
    OnlineTag("volume", "L", 2, noise=0.03, wander=0.02, rate=0.25),
    OnlineTag("biomass", "pF/cm", 2, noise=0.06, wander=0.06, rate=0.5),
    OnlineTag("off_gas_o2", "%", 2, noise=0.03, wander=0.08, rate=0.5),
    OnlineTag("off_gas_co2", "%", 2, noise=0.02, wander=0.03, rate=0.5),
    OnlineTag("agitation", "rpm", 0, noise=0.25, wander=0.4, deadband=1.0),
    OnlineTag("air_flow", "L/min", 3, noise=0.003, wander=0.002, deadband=0.01),
    OnlineTag("o2_flow", "L/min", 3, noise=0.003, wander=0.008, deadband=0.01),
    OnlineTag("co2_flow", "L/min", 3, noise=0.001, wander=0.001, deadband=0.005),
    OnlineTag("feed_rate", "mL/h", 1, noise=0.0, wander=0.0, deadband=0.1, stepped=True),
    OnlineTag("base_added", "mL", 1, noise=0.0, wander=0.0, deadband=1.0, stepped=True),
    OnlineTag("acid_added", "mL", 1, noise=0.0, wander=0.0, deadband=1.0, stepped=True),
)

SAMPLED = (
    SampleTag("vcd", "10^6 cells/mL", 2, relative=0.04, absolute=0.01),
    SampleTag("viability", "%", 1, relative=0.006, absolute=0.0, high=99.6),
    SampleTag("glucose", "g/L", 2, relative=0.02, absolute=0.02),
    SampleTag("lactate", "g/L", 2, relative=0.025, absolute=0.01),
    SampleTag("glutamine", "mmol/L", 2, relative=0.03, absolute=0.02),
    SampleTag("ammonia", "mmol/L", 2, relative=0.03, absolute=0.02),
    SampleTag("titer", "g/L", 3, relative=0.025, absolute=0.003),
)


def truth(culture: Culture, control: Control) -> dict[str, Series]:
    """Name what every tag would show without noise, on the grid of the culture."""
    added = (control.base_added + control.acid_added) / 1000.0
    liquid = culture.litres + added
    # Cells shrink and membranes tire, so late cells hold less charge: the known gap of capacitance after the peak.
    per_cell = 0.95 - 0.30 * (culture.hour / 336.0) ** 2
    gas = control.air_flow + control.o2_flow + control.co2_flow
    return {
        "temperature": culture.temperature,
        "ph": control.ph,
        "do": control.do,
        "pressure": 0.20 + 0.004 * gas,
        "weight": 1.01 * culture.litres + 1.1 * added,
        "volume": liquid,
        "biomass": 0.4 + per_cell * culture.vcd,
        "off_gas_o2": control.off_gas_o2,
        "off_gas_co2": control.off_gas_co2,
        "agitation": control.agitation,
        "air_flow": control.air_flow,
        "o2_flow": control.o2_flow,
        "co2_flow": control.co2_flow,
        "feed_rate": 1000.0 * culture.feed,
        "base_added": control.base_added,
        "acid_added": control.acid_added,
        "vcd": culture.vcd,
        "viability": culture.viability,
        "glucose": culture.glucose,
        "lactate": culture.lactate,
        "glutamine": culture.glutamine,
        "ammonia": culture.ammonia,
        "titer": culture.titer,
    }
