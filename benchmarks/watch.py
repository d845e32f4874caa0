"""How long a file that arrives takes to be in the marts under `kedro lake watch`, beside a plain script for that batch.

    python benchmarks/watch.py [--batches 150] [--readings 100000] [--rounds 15]

The script is the one of `plain_script.py`: once as a command that is started for the batch, and once warm, in a process
that has imported everything and has its connections to DuckDB and Postgres open. It reads the one file, replaces the
batch in every table, and commits it in Postgres. The watch's time is that from the file's last byte until a reader of
Postgres sees the batch in both marts, hearing of the file, checks, lineage and history included. Rounds are interleaved
(A B C A B C).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import median

import duckdb
import psycopg

import plain_script
from measuring import KEDRO, Bench, Lake, prepared
from raw_batches import Batches, simulate

MARTS = ("mart_bioreactor_overview", "mart_bioreactor_timeline")
# After a round the watch writes history and lineage, and closes DuckDB.
PAUSE_SECONDS = 1.0


@contextmanager
def watching(bench: Bench, lake: Lake) -> Iterator[None]:
    """The watch of a lake, from the moment in which its first run has ended."""
    variables = {"RAW": str(lake.raw), "WAREHOUSE": str(lake.warehouse), "POSTGRES_URL": lake.url}
    environment = {f"BIOREACTOR_LAKE_{name}": value for name, value in variables.items()}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    log = bench.folder / "watch.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*KEDRO, "lake", "watch", "--port", "0"],
            cwd=bench.folder / "project",
            env={**inherited, "DO_NOT_TRACK": "1", **environment},
            stdout=output,
            stderr=output,
        )
    try:
        while not re.search(r"batch(es)? in the marts", log.read_text()):
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def wait_for(connection: psycopg.Connection, batch: str) -> None:
    """Until a reader sees the batch in both marts."""
    for mart in MARTS:
        query = f"SELECT EXISTS (SELECT FROM marts.{mart} WHERE batch_id = %s)"
        while connection.execute(query, [batch]).fetchone() == (False,):
            time.sleep(0.005)


@dataclass
class Seconds:
    """Of the same batches."""

    started: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    watch: list[float] = field(default_factory=list)


def measure(bench: Bench, batches: int, readings: int, rounds: int) -> Seconds:
    """Seconds of the script that is started, of the one that is warm, and of the watch."""
    base = simulate(min(12, batches), readings, bench.folder / f"base_{readings}")
    raw = bench.folder / f"raw_{readings}"
    Batches(base, raw).add(batches)
    new = Batches(base, bench.folder / f"new_{readings}")
    new._next = batches
    lake, plain = bench.lake(raw, f"watched_{readings}"), bench.lake(raw, f"plain_{readings}")
    by_command = bench.lake(raw, f"started_{readings}")
    for one in (plain, by_command):
        bench.script(one)
    found = Seconds()
    with (
        watching(bench, lake),
        duckdb.connect(str(plain.warehouse)) as warehouse,
        psycopg.connect(plain.url) as postgres,
        psycopg.connect(lake.url, autocommit=True) as reader,
    ):
        warehouse.execute("SET TimeZone = 'UTC'")
        # The first ones warm both up.
        for number in range(rounds + 2):
            file = new.add()
            command = bench.script(replace(by_command, raw=file.parent), "--add", str(file)).wall
            started = time.perf_counter()
            plain_script.replace_batches(warehouse, postgres, file.parent, file)
            postgres.commit()
            script = time.perf_counter() - started
            shutil.copyfile(file, raw / file.name)
            started = time.perf_counter()
            wait_for(reader, file.stem)
            watch = time.perf_counter() - started
            time.sleep(PAUSE_SECONDS)
            if number > 1:
                found.started.append(command)
                found.warm.append(script)
                found.watch.append(watch)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=150, help="that the lake has before")
    parser.add_argument("--readings", type=int, nargs="+", default=[12_000, 100_000], help="of a batch")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(f"{'readings':>10}{'script s':>10}{'warm s':>10}{'watch s':>10}{'÷ script':>10}{'÷ warm':>8}{'load':>7}")
    for readings in options.readings:
        with prepared() as bench:
            found = measure(bench, options.batches, readings, options.rounds)
        seconds = "".join(f"{median(each):>10.3f}" for each in (found.started, found.warm, found.watch))
        by_script, by_warm = (
            median(one / other for one, other in zip(found.watch, each, strict=True))
            for each in (found.started, found.warm)
        )
        print(f"{readings:>10,}{seconds}{by_script:>10.2f}{by_warm:>8.2f}{os.getloadavg()[0]:>7.1f}", flush=True)


if __name__ == "__main__":
    main()
