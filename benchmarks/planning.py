"""How long it takes to know what is stale, by the size of the manifest: batches by the million, nothing else.

    python benchmarks/planning.py [--batches 1000 10000 100000 1000000] [--files 10]

A manifest is made up in a DuckDB file, with the fingerprints that one table holds of all its batches but one. Then the
lake's own comparison runs, twice. No raw file exists, so what it costs to list them is not in it.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import ibis

from bioreactor_lake.datasets import holdings

_TABLE = "curated.fact_bioreactor_batch_stats"


def make_up(backend: ibis.BaseBackend, batches: int, files: int) -> None:
    """A manifest, and what a table holds that was built from it before one batch changed."""
    backend.raw_sql("CREATE SCHEMA raw")
    holdings.ensure(backend)
    backend.raw_sql(
        "CREATE TABLE raw.files AS SELECT 'site/2026/' || b || '/part-' || f || '.parquet' AS path, "
        "['B-' || b] AS batch_ids, md5(b || '-' || f) AS content_hash, 'rules-1' AS rules_hash, 's' AS schema_id, "
        f"'accepted' AS status FROM range({batches}) AS x(b), range({files}) AS y(f)"
    )
    backend.raw_sql("INSERT INTO lake_state.raw_branches VALUES ('s', 'rules')")
    backend.raw_sql(
        "INSERT INTO lake_state.relations (name, kind, logic, upstreams, reference_tables) VALUES "
        "('raw.bioreactor', 'raw', 'r', [], []), ('staging.stg_bioreactor', 'view', 's', ['raw.bioreactor'], [])"
    )
    expect(backend)
    backend.raw_sql(
        f"INSERT INTO lake_state.held SELECT '{_TABLE}', batch_id, CASE batch_id WHEN 'B-7' THEN 'another' "
        f"ELSE fingerprint END, 20 FROM ({holdings.EXPECTED_QUERY})"
    )


def expect(backend: ibis.BaseBackend) -> None:
    """What a table over staging should hold."""
    readings = ibis.table({"batch_id": "string"}, name="stg_bioreactor", database="staging")
    holdings.expect(backend, readings, "logic")


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--files", type=int, default=10, help="files of each batch")
    options = parser.parse_args()
    print(f"{'batches':>10} {'files':>11} {'seconds a table':>16} {'warehouse MB':>13} {'peak MB':>8}")
    for batches in options.batches:
        with TemporaryDirectory() as folder:
            location = Path(folder) / "lake.duckdb"
            backend = ibis.duckdb.connect(location)
            make_up(backend, batches, options.files)
            seconds = []
            for _ in range(2):
                began = time.perf_counter()
                expect(backend)
                changes = holdings.changes(backend, holdings.held_rows(_TABLE))
                seconds.append(time.perf_counter() - began)
                assert (changes.stale, changes.total) == (("B-7",), batches)
            backend.disconnect()
            size, peak = location.stat().st_size / 1e6, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            print(f"{batches:>10,} {batches * options.files:>11,} {min(seconds):>16.2f} {size:>13,.0f} {peak:>8,.0f}")


if __name__ == "__main__":
    main()
