"""An object store that is busy for a moment costs a moment, and one that refuses costs one question."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bucket_lake import BucketLake, as_parquet
from kedro.io import DatasetError
from s3_server import Way
from tests.increments.lake import readings

from bioreactor_lake.errors import LakeError

NewLake = Callable[[], BucketLake]
SOON = {"attempts": 3, "wait_seconds": 0.1}
# What DuckDB asks again by itself before it gives a statement up.
REQUESTS = 3


def tried_again(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "trying again" in record.getMessage()]


@pytest.mark.slow
def test_a_busy_store_is_asked_again_in_every_layer(
    new_lake: NewLake, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    lake = new_lake()
    lake.write("B-1.parquet", as_parquet(readings("B-1", 1)))
    way.failing, way.failing_at = 2, "list-type=2"
    lake.run("ingestion", retries=SOON)
    assert way.failing == 0
    for number, message in enumerate(tried_again(caplog), start=1):
        assert f"failed (attempt {number} of 3), trying again in 0.1 s: " in message
        assert "503" in message
    assert len(tried_again(caplog)) == 2

    caplog.clear()
    lake.write("B-2.parquet", as_parquet(readings("B-2", 2)))
    way.failing, way.failing_at = REQUESTS + 1, "B-2.parquet"
    assert lake.run("ingestion", retries=SOON).notices == []
    assert way.failing == 0
    assert [message.partition(" failed")[0] for message in tried_again(caplog)] == ["Reading raw files"]

    caplog.clear()
    lake.run("staging")
    way.failing, way.failing_at = REQUESTS + 1, "B-2.parquet"
    lake.run("curated", retries=SOON)
    assert way.failing == 0
    assert [message.split()[0] for message in tried_again(caplog)] == ["Writing"]
    lake.run("marts")
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_store_that_stays_busy_fails_the_run_and_quarantines_nothing(
    new_lake: NewLake, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    lake = new_lake()
    lake.write("B-1.parquet", as_parquet(readings("B-1", 1)))
    lake.run("ingestion")
    lake.write("B-2.parquet", as_parquet(readings("B-2", 2)))
    way.failing, way.failing_at = 10_000, ".parquet"
    with pytest.raises(LakeError, match="stopped answering"):
        lake.run("ingestion", retries=SOON)
    assert len(tried_again(caplog)) == 2
    way.failing = 0
    assert lake.run().notices == []
    lake.assert_equals_fresh_build()


@pytest.mark.parametrize("answer", ["403 Forbidden", "400 Bad Request"])
def test_a_refusal_is_not_asked_again(
    new_lake: NewLake, way: Way, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    lake = new_lake()
    way.failing, way.failing_at, way.answer = 10, "list-type=2", answer
    with pytest.raises(DatasetError, match="Every table is as it was"):
        lake.run("ingestion", retries=SOON)
    assert way.failing == 9
    assert tried_again(caplog) == []
