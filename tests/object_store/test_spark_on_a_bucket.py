"""Raw files in a bucket, tables computed by a Spark Connect server that is no Spark: Sail, which reads S3 by itself."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bucket_lake import BucketLake, as_parquet
from s3_server import KEY, SECRET, Way
from tests.increments.lake import readings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("pysail") is None, reason="misses pysail: requirements-spark.lock"),
]


@pytest.fixture
def sail(way: Way, tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ALLOW_HTTP": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
    }
    command = [str(Path(sys.executable).parent / "sail"), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    log = (tmp_path / "sail.log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"sc://127.0.0.1:{port}"
    process.kill()
    process.wait()


def test_a_connect_server_computes_what_lies_in_a_bucket(
    new_lake: Callable[[], BucketLake], sail: str, tmp_path: Path
) -> None:
    lake = new_lake()
    spark = {
        "KEDRO_ENV": "spark",
        "BIOREACTOR_LAKE_RAW": str(lake.raw),
        "BIOREACTOR_LAKE_SPARK_REMOTE": sail,
        "BIOREACTOR_LAKE_SPARK_TABLES": str(tmp_path / "tables"),
    }
    for number in range(12):
        lake.write(f"site=Basel/B-{number}.parquet", as_parquet(readings(f"B-{number}", number)))
    done = lake.run_command("run", **spark)
    assert done.returncode == 0, done.stdout + done.stderr
    lake.assert_equals_fresh_build()
    lake.write("late/B-3b.parquet", as_parquet(readings("B-3", 30)))
    lake.write("site=Basel/B-5.parquet", as_parquet(readings("B-5", 50)))
    lake.remove("site=Basel/B-7.parquet")
    done = lake.run_command("run", **spark)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "curated.dim_batch: 2 rows of 3 batches" in done.stdout + done.stderr
    lake.assert_equals_fresh_build()
