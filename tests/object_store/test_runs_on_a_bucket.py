"""Runs over raw files in a real S3 server: the same tables as over a folder, and no request that is not needed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from bucket_lake import BucketLake, as_parquet
from s3_server import SECRET, Way
from tests.increments.lake import PROJECT, readings

from bioreactor_lake.lake.runs import Run, running

NewLake = Callable[[], BucketLake]


def run(lake: BucketLake, *pipelines: str, **parameters: object) -> Run:
    with running() as this_run:
        lake.run(*pipelines, **parameters)
    return this_run


@pytest.mark.slow
def test_runs_on_a_bucket_equal_runs_on_a_folder(new_lake: NewLake) -> None:
    lake = new_lake()
    for number in range(12):
        lake.write(f"site=Basel/B-{number}.parquet", as_parquet(readings(f"B-{number}", number)))
    lake.client.put_object(Bucket=lake.bucket, Key=lake.prefix, Body=b"")  # consoles mark folders so
    lake.client.put_object(Bucket=lake.bucket, Key=lake.prefix + "_unfinished/B-1.parquet", Body=b"PAR1")
    lake.client.put_object(Bucket=lake.bucket, Key=f"{lake.prefix.removesuffix('/')}-other/B-1.parquet", Body=b"PAR1")
    lake.run()
    lake.assert_equals_fresh_build()
    lake.write("late/B-3b.parquet", as_parquet(readings("B-3", 30)))
    lake.write("site=Basel/B-5.parquet", as_parquet(readings("B-5", 50)))
    lake.remove("site=Basel/B-7.parquet")
    written = {report.table: report.batches for report in run(lake).writes}
    assert written["curated.dim_batch"] == 3
    lake.assert_equals_fresh_build()
    assert {report.batches for report in run(lake).writes if report.table != "raw.files"} == {0}


def test_lineage_names_the_bucket_and_its_prefix(
    new_lake: NewLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = new_lake()
    lake.write("B-1.parquet", as_parquet(readings("B-1", 1)))
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "false")
    monkeypatch.setenv("BIOREACTOR_LAKE_LINEAGE_FILE", str(tmp_path / "events.jsonl"))
    lake.run("ingestion")
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    named = {(one["namespace"], one["name"]) for event in events for one in event["inputs"]}
    prefix = lake.prefix.strip("/")
    # Servers take no name that begins with a digit.
    assert (f"s3://{lake.bucket}", f"_{prefix}" if prefix[0].isdigit() else prefix) in named
    assert SECRET not in (tmp_path / "events.jsonl").read_text()


@pytest.mark.slow
def test_the_readmes_command_runs(new_lake: NewLake, way: Way) -> None:
    lake = new_lake()
    lake.write("B-1.parquet", as_parquet(readings("B-1", 1)))
    (command,) = re.findall(r"`BIOREACTOR_LAKE_RAW=(s3://\S+) kedro (run)`", (PROJECT / "README.md").read_text())
    assert command[0] == "s3://bucket/prefix"
    assert lake.run_command(command[1], BIOREACTOR_LAKE_RAW=lake.raw).returncode == 0
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_new_object_costs_the_listing_and_itself(new_lake: NewLake, way: Way) -> None:
    lake = new_lake()
    for number in range(60):
        lake.write(f"B-{number:02}.parquet", as_parquet(readings(f"B-{number}", number)))
    lake.run()
    way.requests.clear()
    lake.run()
    assert (way.listings(), way.of_objects()) == (1, [])
    lake.write("one_more.parquet", as_parquet(readings("B-60", 60)))
    lake.run()
    assert way.listings() == 2
    # DuckDB takes the columns of a view from the first file of its list.
    assert {path.rpartition("/")[2] for _, path in way.of_objects()} == {"one_more.parquet", "B-00.parquet"}
    assert len(way.of_objects()) < 20
    lake.assert_equals_fresh_build()


@pytest.mark.nightly
@pytest.mark.slow
def test_five_hundred_objects_equal_five_hundred_files_and_one_of_a_thousand_costs_one(
    new_lake: NewLake, way: Way
) -> None:
    lake = new_lake()
    for number in range(500):
        lake.write(f"B-{number:04}.parquet", as_parquet(readings(f"B-{number}", number)))
    lake.run()
    lake.assert_equals_fresh_build()
    for number in range(500, 1000):
        lake.write(f"B-{number:04}.parquet", as_parquet(readings(f"B-{number}", number)))
    lake.run()
    lake.assert_equals_fresh_build()
    way.requests.clear()
    lake.write("one_more.parquet", as_parquet(readings("one more", 7)))
    lake.run()
    assert way.listings() <= 2  # a page holds a thousand objects
    assert {path.rpartition("/")[2] for _, path in way.of_objects()} == {"one_more.parquet", "B-0000.parquet"}
    assert len(way.of_objects()) < 20
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_an_object_that_is_not_whole_is_set_aside_until_it_is(new_lake: NewLake) -> None:
    lake = new_lake()
    whole = as_parquet(readings("B-2", 2))
    lake.write("B-1.parquet", as_parquet(readings("B-1", 1)))
    lake.write("cut.parquet", whole[:-100])
    lake.write("empty.parquet", b"")
    lake.write("table.csv", b"batch_id,value\n")
    upload = lake.client.create_multipart_upload(Bucket=lake.bucket, Key=lake.prefix + "half.parquet")
    lake.client.upload_part(
        Bucket=lake.bucket, Key=lake.prefix + "half.parquet", UploadId=upload["UploadId"], PartNumber=1, Body=whole
    )
    notices = "\n".join(run(lake).notices)
    assert "cut.parquet: the file is cut off" in notices
    assert "empty.parquet: the file is empty" in notices
    assert "table.csv: it is not a Parquet file" in notices
    assert "half.parquet" not in notices
    lake.assert_equals_fresh_build()
    lake.write("cut.parquet", whole)
    assert "cut.parquet" not in "\n".join(run(lake).notices)
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_odd_names_are_read_or_named(new_lake: NewLake) -> None:
    lake = new_lake()
    names = ["sp ace", "a[1]", "a*", "pl+us", "per%20cent", "ha#sh", "ümlaut", "quo'te", "am&p", "batch_id=7/x"]
    for number, name in enumerate(names):
        lake.write(f"{name}.parquet", as_parquet(readings("7" if "=" in name else f"B-{number}", number)))
    lake.client.put_object(Bucket=lake.bucket, Key=lake.prefix + "what?.parquet", Body=as_parquet(readings("B-20", 20)))
    notices = run(lake).notices
    assert [notice.split(":")[1].strip() for notice in notices] == ["what?.parquet"]
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_a_line_that_is_cut_changes_nothing_and_quarantines_nothing(new_lake: NewLake, way: Way) -> None:
    lake = new_lake()
    lake.write("B-1.parquet", as_parquet(readings("B-1", 1)))
    lake.run()
    before = lake.tables()
    lake.write("B-2.parquet", as_parquet(readings("B-2", 2, count=30_000)))
    way.cut_after = 4000
    result = lake.run_command("run")
    assert result.returncode == 1
    assert "The object store stopped answering" in result.stderr
    assert "Check the network" in result.stderr
    assert {name: len(rows) for name, rows in lake.tables().items()} == {n: len(r) for n, r in before.items()}
    way.cut_after = None
    assert run(lake).notices == []
    lake.assert_equals_fresh_build()


@pytest.mark.nightly
@pytest.mark.slow
def test_a_line_that_is_cut_while_a_table_is_written_leaves_it_as_it_was(new_lake: NewLake, way: Way) -> None:
    lake = new_lake()
    lake.write("B-1.parquet", as_parquet(readings("B-1", 1, count=30_000)))
    lake.run("ingestion")
    lake.run("staging")
    way.cut_after = 4000
    result = lake.run_command("run", "--pipeline", "curated")
    assert result.returncode == 1
    assert "curated.dim_batch failed" in result.stderr
    assert "Check the network" in result.stderr
    way.cut_after = None
    lake.run("curated")
    lake.run("marts")
    lake.assert_equals_fresh_build()


def test_what_is_wrong_with_the_store_is_said_without_a_traceback(new_lake: NewLake) -> None:
    result = new_lake().run_command("run", BIOREACTOR_LAKE_RAW_SECRET="another")
    assert result.returncode == 1
    assert "does not know the credentials" in result.stderr
    assert "Traceback" not in result.stderr
    assert SECRET not in result.stdout + result.stderr


@pytest.mark.slow
def test_credentials_may_come_from_the_aws_chain(new_lake: NewLake, way: Way) -> None:
    lake = new_lake()
    lake.write("B-1.parquet", as_parquet(readings("B-1", 1)))
    profile = lake.folder / "credentials"
    profile.write_text(f"[lab]\naws_access_key_id = lake-reader\naws_secret_access_key = {SECRET}\n")
    chain = {
        "BIOREACTOR_LAKE_RAW_KEY": "",
        "BIOREACTOR_LAKE_RAW_SECRET": "",
        "AWS_SHARED_CREDENTIALS_FILE": str(profile),
        "AWS_PROFILE": "lab",
    }
    result = lake.run_command("run", **chain)
    assert result.returncode == 0, result.stderr
    lake.assert_equals_fresh_build()


@pytest.mark.slow
def test_the_secret_is_in_no_output_and_no_file(new_lake: NewLake) -> None:
    lake = new_lake()
    lake.write("B-1.parquet", as_parquet(readings("B-1", 1)))
    said = [lake.run_command("run"), lake.run_command("lake", "plan"), lake.run_command("catalog", "describe-datasets")]
    assert [result.returncode for result in said] == [0, 0, 0]
    assert SECRET not in "".join(result.stdout + result.stderr for result in said)
    for path in lake.warehouse.parent.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        assert connection.execute("FROM duckdb_secrets()").fetchall() == []
