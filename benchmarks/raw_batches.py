"""Raw files by the thousand: some batches are simulated, all others are copies under another id and another time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import duckdb

from measuring import KEDRO, ROOT

# A file that was just written is hashed again in the next run; these look as files do that nobody writes.
_PAST = 1_760_000_000


def simulate(batches: int, readings: int, out: Path) -> Path:
    """Raw files, one a batch."""
    command = [*KEDRO, "lake", "simulate", "--batches", str(batches), "--readings", str(readings), "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "DO_NOT_TRACK": "1"})
    return out


class Batches:
    """Batches that are put into a raw folder one after the other.

    Args:
        base: A folder of simulated files, one a batch.
        out: The raw folder.
    """

    def __init__(self, base: Path, out: Path) -> None:
        self._base = sorted(base.glob("*.parquet"))
        self._out = out
        self._next = 0
        out.mkdir(parents=True)

    def add(self, count: int = 1) -> Path:
        """Put batches into the folder; the last file."""
        path = self._out
        with duckdb.connect() as connection:
            for _ in range(count):
                source = self._base[self._next % len(self._base)]
                batch = f"C-{self._next:05d}"
                path = self._out / f"{batch}.parquet"
                connection.execute(
                    f"COPY (SELECT * REPLACE ('{batch}' AS batch_id, ts + INTERVAL {self._next} HOURS AS ts) "
                    f"FROM read_parquet('{source}')) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
                )
                os.utime(path, (_PAST, _PAST))
                self._next += 1
        return path
