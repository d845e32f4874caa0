"""Many batches as Parquet files, one per batch, simulated in parallel."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.simulation.fleet import DEFAULT_REACTORS, DEFAULT_START, slot
from bioreactor_lake.simulation.readings import MIN_READINGS, simulate_batch

# Below this a worker process costs more to start than it saves.
ROWS_WORTH_A_WORKER = 1_000_000


@dataclass(frozen=True)
class Written:
    """What `write_batches` left in the folder.

    Attributes:
        files: Files of the wanted batches.
        rows: Readings in them.
        size_bytes: Their size.
        unchanged: Files that were there before with the same readings, and were left alone.
    """

    files: int
    rows: int
    size_bytes: int
    unchanged: int


@dataclass(frozen=True)
class _Order:
    """Everything a worker process has to know; plain values, so that it can be sent to a spawned one."""

    out: Path
    seed: int
    readings: int
    start: datetime
    reactors: int

    def path(self, number: int) -> Path:
        return self.out / f"{slot(number).batch_id}.parquet"

    def table(self, number: int) -> pa.Table:
        return simulate_batch(number, seed=self.seed, readings=self.readings, start=self.start, reactors=self.reactors)


def write_batches(
    out: Path,
    *,
    batches: int,
    readings: int = 100_000,
    seed: int = 7,
    start: datetime = DEFAULT_START,
    reactors: int = DEFAULT_REACTORS,
    workers: int | None = None,
    overwrite: bool = False,
) -> Written:
    """Write batches 1 to `batches` as `B-0001.parquet` and on.

    Args:
        out: Folder; made when missing.
        batches: How many, from 1.
        readings: Rows per batch, within 2 %.
        seed: See `simulate_batch`.
        start: See `simulate_batch`.
        reactors: See `simulate_batch`.
        workers: Processes; by default one per processor, or none where there is little to do.
        overwrite: Replace files of these names that hold anything else.

    Raises:
        UsageError: On arguments that make no batch; on other content in the way, before anything is written.
    """
    if min(batches, reactors) < 1 or readings < MIN_READINGS or seed < 0 or (workers is not None and workers < 1):
        raise UsageError(
            "A simulation needs at least 1 batch, 1 reactor, 1 worker and a seed that is not negative,"
            f" and {MIN_READINGS:,} readings a batch.",
            next_step="Give larger numbers, e.g. kedro lake simulate --batches 6 --readings 10000",
        )
    out = out.absolute()
    order = _Order(out, seed, readings, start, reactors)
    numbers = range(1, batches + 1)
    present = [number for number in numbers if order.path(number).exists()]
    if workers is None:
        workers = max(1, min(_processors(), batches, batches * readings // ROWS_WORTH_A_WORKER))
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _mapper(workers) as each:
            rows = dict(zip(present, each(partial(_rows_if_same, order), present), strict=True)) if present else {}
            same = {number: count for number, count in rows.items() if count is not None}
            others = [number for number in present if number not in same]
            if others and not overwrite:
                raise UsageError(
                    f"{len(others)} of the files in {out} have other content, {order.path(others[0]).name} first.",
                    kept="Nothing was written.",
                    next_step="Add --overwrite to replace them, or choose another folder with --out.",
                )
            wanted = [number for number in numbers if number not in same]
            written = sum(count or 0 for count in each(partial(_write, order), wanted))
    except OSError as error:
        raise LakeError(
            f"Batches could not be written to {out}: {error.strerror or error}.",
            kept="Files that are there are complete.",
            next_step="Make room or choose another folder with --out, and repeat: files that are done are kept.",
        ) from error
    return Written(
        files=batches,
        rows=written + sum(same.values()),
        size_bytes=sum(order.path(number).stat().st_size for number in numbers),
        unchanged=len(same),
    )


def _write(order: _Order, number: int) -> int:
    """Write one batch under a hidden name, then rename: nobody ever sees half a file."""
    table = order.table(number)
    path = order.path(number)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(
            table,
            unfinished,
            compression="zstd",
            # Scans are nearly regular, so differences of times are small numbers; all else repeats.
            use_dictionary=[name for name in table.column_names if name != "ts"],
            column_encoding={"ts": "DELTA_BINARY_PACKED"},
            # Without it every reader sees plain text and UTC instants, and files do not name the Arrow version.
            store_schema=False,
        )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return int(table.num_rows)


def _rows_if_same(order: _Order, number: int) -> int | None:
    """Count the rows of an existing file if it holds what would be written, else None."""
    try:
        found = pq.read_table(order.path(number))
    except (pa.ArrowInvalid, OSError):
        return None
    return int(found.num_rows) if found.equals(order.table(number)) else None


@contextmanager
def _mapper(workers: int) -> Iterator[Callable[..., Iterator[int | None]]]:
    """Give a `map` over worker processes, or the plain one for a single worker."""
    if workers == 1:
        yield map
        return
    # Spawned, not forked: the caller may hold threads of DuckDB, Arrow or Kedro, which do not survive a fork.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _processors() -> int:
    """Count the processors this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
