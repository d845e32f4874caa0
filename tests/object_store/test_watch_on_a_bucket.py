"""A watch of a bucket: a listing tells what is new, and only that begins a run."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from bucket_lake import BucketLake, as_parquet
from s3_server import KEY, SECRET
from tests.increments.lake import readings
from tests.watch.watched import Watched

from bioreactor_lake.cli.watch.arrivals import Arrivals
from bioreactor_lake.raw_store import open_store


def test_objects_arrive_by_a_listing(new_lake: Callable[[], BucketLake]) -> None:
    lake = new_lake()
    arrivals = Arrivals(
        open_store({"path": str(lake.raw), "credentials": {"key": KEY, "secret": SECRET}}), [], patience_seconds=60
    )
    assert not arrivals.look()
    lake.write("a.parquet", as_parquet(readings("B-1", 1)))
    assert arrivals.look()
    assert not arrivals.look()
    lake.write("a.parquet", as_parquet(readings("B-1", 2)))
    assert arrivals.look()
    lake.remove("a.parquet")
    assert arrivals.look()


@pytest.mark.slow
def test_what_comes_to_a_bucket_is_in_the_marts_and_nothing_new_is_no_run(
    new_lake: Callable[[], BucketLake], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = new_lake()
    landing = f"{lake.prefix.removesuffix('raw/')}landing"
    monkeypatch.setenv("BIOREACTOR_LAKE_LANDING", f"s3://{lake.bucket}/{landing}")
    for number in (1, 2):
        lake.write(f"{number}.parquet", as_parquet(readings(f"B-{number}", number)))
    watch = Watched(lake, "--poll", "0.5", "--params", "checkpoints=false")
    try:
        watch.until(lambda: watch.get("/readyz")[0] == 200)
        lake.write("3.parquet", as_parquet(readings("B-3", 3)))
        watch.until(lambda: watch.metrics().get('lake_batches{table="marts.mart_bioreactor_timeline"}') == 3)
        runs = watch.metrics()['lake_runs_total{status="completed"}']
        with psycopg.connect(lake.database) as connection:
            query = "SELECT count(DISTINCT batch_id) FROM marts.mart_bioreactor_overview"
            assert connection.execute(query).fetchone() == (3,)
        assert runs == 2
        export = ",Volume,pH\n" + "".join(f"{row / 5},{57972 - row},6.4\n" for row in range(1, 30))
        name = f"{landing}/pensim/pensimpy_seed1.csv"
        lake.client.put_object(Bucket=lake.bucket, Key=name, Body=export.encode())
        watch.until(lambda: watch.metrics().get('lake_batches{table="marts.mart_bioreactor_timeline"}') == 4)
    finally:
        assert watch.end()[0] == 143
