"""What the suites cost a run: one that builds everything, one with a new batch, and one with nothing to do."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import Bench, Lake
from raw_batches import Batches

WAYS = {"checks off": ("--params", "checkpoints=false"), "checks on": ()}
OFF, ON = WAYS


def check_cost(bench: Bench, results: Any, base: Path, options: argparse.Namespace) -> None:
    """Full builds with checks off and on, then runs with a new batch and with nothing new; interleaved."""
    raw = bench.folder / "raw_checks"
    batches = Batches(base, raw)
    batches.add(options.batches)
    lakes: dict[str, Lake] = {way: bench.lake(raw, f"checks_{number}") for number, way in enumerate(WAYS)}

    def run(what: str) -> None:
        for way, lake in lakes.items():
            results[f"{way}, {what}"].costs.append(bench.kedro(lake, arguments=WAYS[way]))

    for _ in range(options.repeat):
        for lake in lakes.values():
            lake.start_over(bench.url)
        run("full build")
    for _ in range(2 * options.repeat):
        batches.add()
        run("one new batch")
        run("nothing new")


def check_rows(results: Any) -> Iterator[tuple[str, list[float], float | None]]:
    """What the report says of it: the ratios of builds, and the seconds more of small runs."""
    some, none = results[f"{ON}, full build"], results[f"{OFF}, full build"]
    yield "checks on / off, full build", [some.of(c) / none.of(c) for c in ("wall", "cpu")], 1.2
    for what, target in (("one new batch", None), ("nothing new", 0.2)):
        some, none = results[f"{ON}, {what}"], results[f"{OFF}, {what}"]
        yield f"seconds more, checks on, {what}", [some.of(c) - none.of(c) for c in ("wall", "cpu")], target
