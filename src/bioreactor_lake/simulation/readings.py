"""One batch as a table of readings, the same for the same arguments in any process and any order."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bioreactor_lake.simulation.control import control
from bioreactor_lake.simulation.culture import grow
from bioreactor_lake.simulation.fleet import DEFAULT_REACTORS, DEFAULT_START, slot
from bioreactor_lake.simulation.recipe import Recipe, draw_recipe
from bioreactor_lake.simulation.sampling import (
    BAD,
    MS_PER_HOUR,
    QUALITIES,
    UNCERTAIN,
    Gaps,
    Readings,
    draw_gaps,
    read_online,
    read_samples,
    scan,
)
from bioreactor_lake.simulation.sensors import ONLINE, SAMPLED, OnlineTag, truth

MIN_READINGS = 1_000
SCHEMA = pa.schema(
    [
        ("batch_id", pa.string()),
        ("equipment_id", pa.string()),
        ("site", pa.string()),
        ("ts", pa.timestamp("us", tz="UTC")),
        ("tag", pa.string()),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("quality", pa.string()),
    ]
)
_UNITS = {tag.name: tag.unit for tag in (*ONLINE, *SAMPLED)}


def simulate_batch(
    number: int,
    *,
    seed: int = 7,
    readings: int = 100_000,
    start: datetime = DEFAULT_START,
    reactors: int = DEFAULT_REACTORS,
) -> pa.Table:
    """Simulate one fed-batch run.

    Args:
        number: Batch number from 1.
        seed: Not negative. Other seeds give other batches; the same one gives the same, whatever else is simulated.
        readings: Rows wanted; the scan intervals are chosen to come within 2 % of it. At least 1,000. The run
            itself does not depend on it: more readings show the same batch more closely.
        start: Earliest start of batch 1; a naive one is taken as UTC.
        reactors: Size of the fleet that the batches are spread over.

    Returns:
        One row per reading, ordered by tag and ts, with the columns of `SCHEMA`; no column has nulls.
    """
    if readings < MIN_READINGS:
        raise ValueError(f"A batch has at least {MIN_READINGS} readings, not {readings}.")
    place = slot(number, start=start, reactors=reactors)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number])))
    recipe = draw_recipe(rng)
    by_tag = _read(rng, recipe, readings)

    tags = sorted(by_tag)
    counts = [len(by_tag[tag].at_ms) for tag in tags]
    rows = sum(counts)
    inoculated = place.earliest_start + timedelta(seconds=recipe.delay_s)
    inoculated_us = (inoculated - datetime(1970, 1, 1, tzinfo=inoculated.tzinfo)) // timedelta(microseconds=1)
    at_us = inoculated_us + 1000 * np.concatenate([by_tag[tag].at_ms for tag in tags])
    of_tag = np.repeat(np.arange(len(tags), dtype=np.int32), counts)
    nowhere = np.zeros(rows, dtype=np.int32)
    quality = np.concatenate([by_tag[tag].quality for tag in tags]).astype(np.int32)
    return pa.Table.from_arrays(
        [
            _text(nowhere, [place.batch_id]),
            _text(nowhere, [place.equipment_id]),
            _text(nowhere, [place.site]),
            pa.array(at_us).cast(SCHEMA.field("ts").type),
            _text(of_tag, tags),
            pa.array(np.concatenate([by_tag[tag].value for tag in tags])),
            _text(of_tag, [_UNITS[tag] for tag in tags]),
            _text(quality, list(QUALITIES)),
        ],
        schema=SCHEMA,
    )


def _read(rng: np.random.Generator, recipe: Recipe, readings: int) -> dict[str, Readings]:
    """Run the batch and read every tag of it, with about the wanted number of readings in all."""
    culture = grow(recipe)
    controlled = control(recipe, culture)
    true = truth(culture, controlled)
    by_tag: dict[str, Readings] = {}

    sampled_ms = np.array([round(at * 60) * 60_000 for at in recipe.sample_hours], dtype=np.int64)
    doubt = rng.random(len(sampled_ms))
    quality = np.where(doubt < 0.004, BAD, np.where(doubt < 0.03, UNCERTAIN, 0)).astype(np.int8)
    for sample_tag in SAMPLED:
        by_tag[sample_tag.name] = read_samples(rng, sample_tag, true[sample_tag.name], sampled_ms, quality)

    # A lost network takes all tags at once, a loose plug only one.
    network = draw_gaps(rng, recipe.hours, 1.5, 2.0)
    gaps = {tag.name: _merged(network, draw_gaps(rng, recipe.hours, 0.7, 8.0)) for tag in ONLINE}

    def read(tag: OnlineTag, interval_h: float) -> None:
        at_ms, fresh = scan(rng, recipe.hours, interval_h, gaps[tag.name])
        by_tag[tag.name] = read_online(rng, tag, true[tag.name], at_ms, fresh)

    # How many rows logging by exception leaves is known only afterwards; the regular tags then fill up the rest.
    by_exception = [tag for tag in ONLINE if tag.deadband is not None]
    regular = [tag for tag in ONLINE if tag.deadband is None]
    scans_an_hour = readings / (sum(tag.rate for tag in regular) + 0.5 * len(by_exception)) / recipe.hours
    for tag in by_exception:
        read(tag, 1 / (scans_an_hour * tag.rate))
    missing = readings - sum(len(found.at_ms) for found in by_tag.values())
    heard = sum(tag.rate * (recipe.hours - float(np.sum(gaps[tag.name] @ [-1.0, 1.0]))) for tag in regular)
    for tag in regular:
        read(tag, heard / missing / tag.rate)

    drifting = by_tag["do"]
    error = np.interp(drifting.at_ms / MS_PER_HOUR, culture.hour, controlled.do_drift)
    drifting.quality[(error > 10.0) & (drifting.quality == 0)] = UNCERTAIN
    return by_tag


def _merged(first: Gaps, second: Gaps) -> Gaps:
    """Unite gaps that overlap, so that their lengths add up."""
    united: list[list[float]] = []
    for begin, end in sorted(np.concatenate([first, second]).tolist()):
        if united and begin <= united[-1][1]:
            united[-1][1] = max(united[-1][1], end)
        else:
            united.append([begin, end])
    return np.array(united, dtype=np.float64).reshape(-1, 2)


def _text(codes: NDArray[np.int32], words: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(codes, words).cast(pa.string())
