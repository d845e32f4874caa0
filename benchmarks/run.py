"""Compare `kedro run` with a plain script and with the least that any Kedro run costs.

    python benchmarks/run.py [--batches 200] [--lake 1000] [--growth 100 5000] [--repeat 3] [--quick] [--check]

Everything happens in a temporary folder: raw files, copies of the project, the warehouses, and a Postgres server of
its own. Runs are interleaved (A B A B). The ratios are printed for wall time and for processor seconds, the server's
included; on a machine that does other things at the same time, look at the latter.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from check_cost import check_cost, check_rows
from lineage_cost import lineage_cost, rows
from measuring import Bench, Lake, Measured, prepared, replace_in
from raw_batches import Batches, simulate

PARTS = ("full", "increments", "growth", "lineage", "checks")
NODES = "src/bioreactor_lake/pipelines/curated/nodes.py"
# Statistics that are computed otherwise, without another result.
CHANGES = ("first_ts=_.ts.min(),", "first_ts=ibis.coalesce(_.ts.min(), _.ts.max()),")


@dataclass
class Results:
    """What was measured, by name."""

    by_name: dict[str, Measured] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Measured:
        return self.by_name.setdefault(name, Measured())


def full_builds(bench: Bench, results: Results, base: Path, options: argparse.Namespace) -> None:
    """Everything from nothing, by the lake and by the script."""
    raw = options.raw.resolve() if options.raw else bench.folder / "raw"
    if not options.raw:
        Batches(base, raw).add(options.batches)
    lake, plain = bench.lake(raw, "kedro"), bench.lake(raw, "plain")
    for _ in range(options.repeat):
        results["floor"].costs.append(bench.floor())
        for made in (lake, plain):
            made.start_over(bench.url)
        results["script, full build"].costs.append(bench.script(plain))
        results["kedro run, full build"].costs.append(bench.kedro(lake))
    if options.check:
        check(lake, plain)
    lake.start_over(bench.url)
    replace_in(
        bench.folder / "limited", "conf/base/globals.yml", "memory_limit: null", f"memory_limit: {options.memory_mb}MB"
    )
    results["kedro run, limited"].costs.append(bench.kedro(lake, "limited"))


def increments(bench: Bench, results: Results, base: Path, options: argparse.Namespace) -> None:
    """One new batch, nothing new, and a changed node in a lake that is there."""
    raw = bench.folder / "lake"
    batches = Batches(base, raw)
    batches.add(options.lake)
    lake, plain, embedded = (bench.lake(raw, name) for name in ("grown", "grown_plain", "grown_embedded"))
    bench.script(plain)
    bench.kedro(lake)
    bench.kedro(embedded, "embedded")
    for number in range(options.repeat):
        results["floor"].costs.append(bench.floor())
        added = str(batches.add())
        results["script, one new batch"].costs.append(bench.script(plain, "--add", added))
        results["kedro run, one new batch"].costs.append(bench.kedro(lake))
        results["embedded, one new batch"].costs.append(bench.kedro(embedded, "embedded"))
        results["floor"].costs.append(bench.floor())
        results["kedro run, nothing new"].costs.append(bench.kedro(lake))
        results["embedded, nothing new"].costs.append(bench.kedro(embedded, "embedded"))
        old, new = CHANGES if number % 2 == 0 else CHANGES[::-1]
        replace_in(bench.folder / "changed", NODES, old, new)
        bench.kedro(bench.lake(base, "compiled"), "changed")
        results["script, changed node"].costs.append(bench.script(plain, "--rebuild-statistics"))
        results["kedro run, changed node"].costs.append(bench.kedro(lake, "changed"))
        bench.kedro(lake)


def growth(bench: Bench, results: Results, options: argparse.Namespace) -> None:
    """One new batch in a small lake and in a large one; the batches are short, so that the lake's own work shows."""
    base = simulate(2, 1000, bench.folder / "short")
    lakes = []
    for size in options.growth:
        batches = Batches(base, bench.folder / f"raw_{size}")
        batches.add(size)
        lakes.append((size, batches, bench.lake(bench.folder / f"raw_{size}", f"size_{size}")))
        bench.kedro(lakes[-1][2])
    for _ in range(options.repeat):
        for size, batches, lake in lakes:
            batches.add()
            results[f"kedro run, one in {size:,}"].costs.append(bench.kedro(lake))


def check(lake: Lake, plain: Lake) -> None:
    """Compare the tables of both, in a process of its own: a child's peak begins at what its parent held."""
    from compare import differences

    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = pool.submit(differences, (lake.warehouse, lake.url), (plain.warehouse, plain.url)).result()
    print("\n".join(found) or "Both made the same tables.")


def report(results: Results, options: argparse.Namespace) -> None:
    """Print what was measured, then the ratios beside their targets."""
    print(f"\n{'':<28}{'wall s':>9}{'CPU s':>9}{'server s':>10}{'peak MB':>9}")
    for name, measured in results.by_name.items():
        cells = [measured.of(cost) for cost in ("wall", "cpu", "server", "peak")]
        print(f"{name:<28}{cells[0]:>9.2f}{cells[1]:>9.2f}{cells[2]:>10.2f}{cells[3]:>9.0f}")
    small, large = options.growth
    print(f"\n{'':<58}{'wall':>7}{'CPU':>7}{'target':>9}")
    for name, ratios, target in (
        ("full build / (1.15 x script + 0.9 x floor)", _over(results, "full build", 1.15), 1.0),
        ("one new batch / (1.25 x script + 0.9 x floor)", _over(results, "one new batch", 1.25), 1.0),
        ("changed node / (1.25 x script + 0.9 x floor)", _over(results, "changed node", 1.25), 1.0),
        ("nothing new / floor", _ratios(results, "kedro run, nothing new", "floor"), 0.8),
        (
            f"one new batch in {large:,} / in {small:,}",
            _ratios(results, f"kedro run, one in {large:,}", f"kedro run, one in {small:,}"),
            1.3,
        ),
        (
            "embedded / running server, nothing new",
            _ratios(results, "embedded, nothing new", "kedro run, nothing new"),
            None,
        ),
        (
            "embedded / running server, one new batch",
            _ratios(results, "embedded, one new batch", "kedro run, one new batch"),
            None,
        ),
        ("peak memory, one new batch / floor", _peak(results, "kedro run, one new batch", "floor"), 1.2),
        (
            "peak memory, full build / script",
            _peak(results, "kedro run, full build", "script, full build"),
            1.3,
        ),
        (
            f"peak memory at {options.memory_mb} MB / unlimited",
            _peak(results, "kedro run, limited", "kedro run, full build"),
            None,
        ),
        *rows(results),
        *check_rows(results),
    ):
        if any(ratio != ratio for ratio in ratios[-1:]):
            continue  # not measured
        verdict = (
            "" if target is None else f"{'<= ' + format(target, 'g'):>9}  {'ok' if ratios[-1] <= target else 'MISSED'}"
        )
        print(f"{name:<58}{ratios[0]:>7.2f}{ratios[-1]:>7.2f}{verdict}")
    print(f"\nThe verdict is on the last number. Load of the machine at the end: {os.getloadavg()[0]:.1f}")


def _ratios(results: Results, name: str, other: str) -> tuple[float, float]:
    return tuple(results[name].of(cost) / results[other].of(cost) for cost in ("wall", "cpu"))  # type: ignore[return-value]


def _over(results: Results, what: str, factor: float) -> list[float]:
    lake, script, floor = results[f"kedro run, {what}"], results[f"script, {what}"], results["floor"]
    return [lake.of(cost) / (factor * script.of(cost) + 0.9 * floor.of(cost)) for cost in ("wall", "cpu")]


def _peak(results: Results, name: str, other: str) -> list[float]:
    return [float("nan"), results[name].of("peak") / results[other].of("peak")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=200, help="of the full build; 200 of 100,000 make 20 M rows")
    parser.add_argument("--lake", type=int, default=1000, help="batches of the lake that increments are measured in")
    parser.add_argument("--growth", type=int, nargs=2, default=(100, 5000), help="sizes that are compared")
    parser.add_argument("--readings", type=int, default=100_000, help="of a batch")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory-mb", type=int, default=1000, help="a memory_limit to build under")
    parser.add_argument("--only", choices=PARTS, nargs="+")
    parser.add_argument("--raw", type=Path, help="a folder of raw files to build instead of simulated ones")
    parser.add_argument("--check", action="store_true", help="compare all rows of both builds; takes minutes")
    parser.add_argument("--quick", action="store_true", help="small sizes: minutes instead of an hour")
    options = parser.parse_args()
    if options.quick:
        options.batches, options.lake, options.growth, options.readings = 20, 40, (20, 500), 20_000
    wanted = options.only or PARTS
    with prepared() as bench:
        base = simulate(min(12, options.batches), options.readings, bench.folder / "base")
        tiny = simulate(1, 1000, bench.folder / "tiny")
        for project in ("project", "limited", "changed", "embedded"):
            bench.kedro(bench.lake(tiny, "compiled"), project)  # compiles the project's modules
        bench.floor()
        results = Results()
        if "full" in wanted:
            full_builds(bench, results, base, options)
        if "increments" in wanted:
            increments(bench, results, base, options)
        if "growth" in wanted:
            growth(bench, results, options)
        if "lineage" in wanted:
            lineage_cost(bench, results, base, options)
        if "checks" in wanted:
            check_cost(bench, results, base, options)
        report(results, options)


if __name__ == "__main__":
    main()
