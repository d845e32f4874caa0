"""One simulated batch: what an engineer and the lake may rely on."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest

from bioreactor_lake.simulation import SCHEMA, simulate_batch
from bioreactor_lake.simulation.culture import grow
from bioreactor_lake.simulation.fleet import MAX_JITTER, SLOT, slot
from bioreactor_lake.simulation.recipe import FAULTS, MAX_HOURS, Recipe, draw_recipe

# The canonical tags of the design but od600, which is for microbes.
CELL_CULTURE_TAGS = {
    *("temperature", "ph", "do", "pressure", "agitation", "air_flow", "o2_flow", "co2_flow", "feed_rate"),
    *("base_added", "acid_added", "weight", "volume", "biomass", "off_gas_o2", "off_gas_co2"),
    *("vcd", "viability", "glucose", "lactate", "glutamine", "ammonia", "titer"),
}
LIMITS = {
    "temperature": (30, 40),
    "ph": (6.6, 7.6),
    "do": (0, 120),
    "pressure": (0.1, 0.4),
    "agitation": (75, 175),
    "feed_rate": (0, 4000),
    "weight": (30, 55),
    "vcd": (0, 30),
    "viability": (0, 100),
    "glucose": (0, 12),
    "lactate": (0, 10),
    "glutamine": (0, 10),
    "ammonia": (0, 10),
    "titer": (0, 8),
    "off_gas_o2": (10, 80),
    "off_gas_co2": (0, 25),
}


def recipe_of(seed: int, number: int) -> Recipe:
    return draw_recipe(np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number]))))


@pytest.fixture(
    scope="module", params=[(7, 1), (7, 2), (0, 2), (3, 2), (7, 5)], ids=lambda key: f"seed{key[0]}-{key[1]}"
)
def batch(request: pytest.FixtureRequest) -> pd.DataFrame:
    seed, number = request.param
    frame: pd.DataFrame = simulate_batch(number, seed=seed, readings=8_000).to_pandas()
    return frame


def test_the_examples_cover_every_fault() -> None:
    assert {recipe_of(*key).fault for key in [(7, 1), (7, 2), (0, 2), (3, 2), (7, 5)]} == {"", *FAULTS}


def test_tags_are_the_canonical_ones_of_a_cell_culture(batch: pd.DataFrame) -> None:
    assert set(batch["tag"]) == CELL_CULTURE_TAGS


def test_every_tag_has_one_unit_and_a_known_quality(batch: pd.DataFrame) -> None:
    assert (batch.groupby("tag")["unit"].nunique(dropna=False) == 1).all()
    assert batch["unit"].str.len().min() > 0
    assert set(batch["quality"]) <= {"good", "uncertain", "bad"}
    assert (batch["quality"] == "good").mean() > 0.9


def test_time_increases_strictly_in_each_tag_and_tags_follow_in_order(batch: pd.DataFrame) -> None:
    assert batch["tag"].is_monotonic_increasing
    for _, of_tag in batch.groupby("tag"):
        assert of_tag["ts"].is_monotonic_increasing
        assert of_tag["ts"].is_unique


def test_values_are_within_what_a_vessel_can_do(batch: pd.DataFrame) -> None:
    assert np.isfinite(batch["value"]).all()
    assert batch["value"].min() >= 0
    for tag, (low, high) in LIMITS.items():
        assert batch.loc[batch["tag"] == tag, "value"].between(low, high).all(), tag


@pytest.mark.parametrize("tag", ["base_added", "acid_added"])
def test_totals_never_decrease(batch: pd.DataFrame, tag: str) -> None:
    assert batch.loc[batch["tag"] == tag, "value"].is_monotonic_increasing


def test_samples_are_drawn_about_once_a_day(batch: pd.DataFrame) -> None:
    days = (batch["ts"].max() - batch["ts"].min()) / timedelta(days=1)
    for tag in ("vcd", "viability", "glucose", "titer"):
        assert abs((batch["tag"] == tag).sum() - days) <= 2, tag


def test_a_tag_logged_by_exception_is_silent_while_nothing_happens(batch: pd.DataFrame) -> None:
    counts = batch["tag"].value_counts()
    assert counts["acid_added"] < counts["temperature"] / 5
    # Before the first feed on day 3 only heartbeats are written.
    feed = batch[batch["tag"] == "feed_rate"]
    early = feed[feed["ts"] < batch["ts"].min() + timedelta(days=2.9)]
    assert (early["value"] == 0).all()
    assert len(early) >= 2


def test_the_temperature_is_shifted_and_lactate_comes_and_goes() -> None:
    frame = simulate_batch(1, seed=7, readings=5_000).to_pandas()
    temperature = frame[frame["tag"] == "temperature"]["value"].to_numpy()
    assert np.median(temperature[:400]) == pytest.approx(37, abs=0.1)
    assert np.median(temperature[-400:]) == pytest.approx(33, abs=0.1)
    lactate = frame[frame["tag"] == "lactate"]["value"].to_numpy()
    assert lactate.max() > 1.2
    assert lactate[-1] < lactate.max() / 3
    assert 3 <= int(lactate.argmax()) <= 8


@pytest.mark.parametrize("number", range(1, 25))
def test_cultures_end_as_such_cultures_do(number: int) -> None:
    recipe = recipe_of(11, number)
    culture = grow(recipe)
    assert recipe.hours <= MAX_HOURS
    assert 10 < culture.vcd.max() < 25
    assert np.all(culture.vcd >= 0)
    assert np.all((culture.viability >= 0) & (culture.viability <= 100))
    if recipe.fault != "contamination":
        assert 2 < culture.titer[-1] < 6
        assert 60 < culture.viability[-1] < 95
    assert culture.litres.max() < 50, "the vessel holds no more"


@pytest.mark.parametrize("readings", [1_000, 10_000, 100_000])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_readings_come_within_two_percent(number: int, readings: int) -> None:
    assert simulate_batch(number, readings=readings).num_rows == pytest.approx(readings, rel=0.02)


def test_more_readings_show_the_same_run() -> None:
    few, many = (simulate_batch(3, readings=readings).filter(pc.field("tag") == "vcd") for readings in (2_000, 20_000))
    assert few.equals(many)


def test_the_table_has_the_agreed_columns_and_no_nulls() -> None:
    table = simulate_batch(1, readings=1_000)
    assert table.schema.equals(SCHEMA)
    assert [column.null_count for column in table.columns] == [0] * 8


def test_another_process_in_another_order_gives_the_same_bytes() -> None:
    code = (
        "import sys, hashlib, pyarrow as pa; from bioreactor_lake.simulation import simulate_batch\n"
        "simulate_batch(9, seed=1, readings=1000)\n"
        "for n in (4, 2):\n"
        "    t = simulate_batch(n, seed=7, readings=3000).combine_chunks()\n"
        "    s = pa.BufferOutputStream(); w = pa.ipc.new_stream(s, t.schema); w.write_table(t); w.close()\n"
        "    print(n, hashlib.sha256(s.getvalue()).hexdigest())\n"
    )
    outputs = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": hash_seed},
        )
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    assert len(outputs[0].split()) == 4
    assert simulate_batch(4, seed=7, readings=3000).equals(simulate_batch(4, seed=7, readings=3000))


def test_other_seeds_and_other_numbers_are_other_batches() -> None:
    values = [simulate_batch(n, seed=s, readings=1_000)["value"].to_pylist() for s, n in [(7, 1), (8, 1), (7, 2)]]
    assert values[0] != values[1]
    assert values[0] != values[2]


@pytest.mark.parametrize("reactors", [1, 3, 12])
def test_batches_of_one_reactor_follow_one_another(reactors: int) -> None:
    ends: dict[str, datetime] = {}
    for number in range(1, 4 * reactors + 1):
        place = slot(number, reactors=reactors)
        begin = place.earliest_start
        assert begin >= ends.get(place.equipment_id, begin)
        ends[place.equipment_id] = begin + MAX_JITTER + timedelta(hours=MAX_HOURS)
    assert len(ends) == reactors
    assert timedelta(hours=MAX_HOURS) + MAX_JITTER < SLOT


def test_readings_lie_in_the_slot_of_the_batch() -> None:
    start = datetime(2020, 2, 1, tzinfo=UTC)
    place = slot(5, start=start, reactors=2)
    bounds = pc.min_max(simulate_batch(5, start=start, reactors=2, readings=1_000)["ts"]).as_py()
    assert place.earliest_start <= bounds["min"]
    assert bounds["max"] <= place.earliest_start + SLOT


@pytest.mark.parametrize("arguments", [{"number": 0}, {"number": 1, "readings": 10}, {"number": 1, "seed": -1}])
def test_a_batch_that_cannot_be_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        simulate_batch(**arguments)
