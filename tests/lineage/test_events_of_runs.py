"""What runs tell of their lineage: whole ones, single layers, failures at each stage, and nothing to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import ibis
import pytest
from lake_with_lineage import LakeWithLineage, facets_of, last_of, story
from lineage_picture import Picture
from lineage_server import Marquez, check
from official_schemas import errors_of_all
from tests.increments.lake import readings

from bioreactor_lake.errors import LakeError

NODES = [
    "ingestion.read_landed_files", "ingestion.inspect_raw_files", "ingestion.read_batch_sheets",
    "ingestion.read_sample_results", "curated.list_sample_results", "ingestion.unite_raw_files",
    "staging.set_aside_rejects", "staging.stage_readings",
    "curated.describe_batches", "curated.downsample_readings", "curated.summarise_tags", "marts.build_overview",
    "marts.build_timeline",
]  # fmt: skip
LAYERS = ["ingestion", "staging", "curated", "marts"]
MARTS = ["marts.mart_bioreactor_overview", "marts.mart_bioreactor_timeline"]
AIRFLOW = "0190d3a0-1111-7000-8000-000000000001"
DAG = "0190d3a0-1111-7000-8000-000000000002"


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[LakeWithLineage]:
    lake = LakeWithLineage(tmp_path / "lake", server)
    lake.put_batches(1, 2)
    with lake.telling():
        yield lake
    lake.drop()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[LakeWithLineage]:
    """A lake after one run of everything."""
    lake = LakeWithLineage(tmp_path_factory.mktemp("whole") / "lake", server)
    lake.put_batches(1, 2)
    with lake.telling():
        lake.run()
    yield lake
    lake.drop()


def mart_names(events: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    found = {one["name"]: (one["namespace"], one["name"]) for event in events for one in event["outputs"]}
    return {mart: found[name] for mart in MARTS for name in found if name.endswith(mart)}


def plain_edges(lake: LakeWithLineage) -> set[str]:
    """The edges of the graph without what differs between two lakes."""
    edges = {str((source[1], target[1])) for source, target in Picture(lake.all_events()).edges}
    return {edge.replace(str(lake.raw), "raw").replace(lake.database.rpartition("/")[2], "db") for edge in edges}


def confirm(events: list[dict[str, Any]]) -> None:
    check(events)
    assert errors_of_all(events) == []


def test_a_run_is_told_from_start_to_end(whole: LakeWithLineage) -> None:
    events = whole.all_events()
    confirm(events)
    told = story(events)
    assert sorted(job for kind, job in told if kind == "START") == sorted([*NODES, *LAYERS, "__default__"])
    assert [job for kind, job in told if kind == "COMPLETE"][-2:] == ["marts", "__default__"]
    assert {kind for kind, _ in told} == {"START", "COMPLETE"}
    for event in events:
        assert UUID(event["run"]["runId"]).version == 7
        job = event["job"]["name"]
        if job in NODES:
            parent = event["run"]["facets"]["parent"]
            layer = last_of(events, job.partition(".")[0])
            assert parent["run"]["runId"] == layer["run"]["runId"]
            assert parent["job"] == {"namespace": "bioreactor_lake", "name": layer["job"]["name"]}
            assert parent["root"]["run"]["runId"] == events[0]["run"]["runId"]
            assert event["inputs"]
            assert event["outputs"]


def test_the_graph_reaches_from_raw_files_to_marts(whole: LakeWithLineage) -> None:
    events = whole.all_events()
    picture = Picture(events)
    assert picture.duplicates() == []
    for name in mart_names(events).values():
        assert picture.is_connected(whole.raw_name, name)
    for event in events:
        for output in event["outputs"]:
            # One version of a dataset for a run, however often it is told of.
            assert len(picture.versions((output["namespace"], output["name"]), event["run"]["runId"])) <= 1


def test_every_column_of_a_mart_leads_to_raw_columns(whole: LakeWithLineage) -> None:
    events = whole.all_events()
    picture = Picture(events)
    raw = {"batch_id", "equipment_id", "ts", "tag", "value"}
    for name in mart_names(events).values():
        traced = {column: picture.column_sources(name, column) for column in picture.fields(name)}
        assert all(traced.values()), [column for column, found in traced.items() if not found]
        of_values = {column for dataset, column in traced["avg_value"] if dataset == whole.raw_name}
        assert of_values == {"value"}
        reached = {column for found in traced.values() for dataset, column in found if dataset == whole.raw_name}
        assert raw <= reached | {"value"}


def test_facets_say_what_was_done(whole: LakeWithLineage) -> None:
    events = whole.all_events()
    overview = last_of(events, "marts.build_overview")
    mart = facets_of(overview, "outputs", "mart_bioreactor_overview")
    rows = len(whole.tables()["mart_bioreactor_overview"])
    assert mart["outputStatistics"]["rowCount"] == rows
    assert mart["version"]["datasetVersion"]
    assert mart["tags"]["tags"][0] | {"source": ""} == {"key": "layer", "value": "marts", "source": ""}
    fields = {one["name"]: one for one in mart["schema"]["fields"]}
    assert fields["avg_value"]["type"] == "double precision"
    assert "time-weighted" in fields["avg_value"]["description"]
    job = overview["job"]["facets"]
    assert 'INNER JOIN "curated"."dim_batch"' in job["sql"]["query"]
    assert job["jobType"]["processingType"] == "BATCH"
    assert job["sourceCodeLocation"]["path"] == "src/bioreactor_lake/pipelines/marts/nodes.py"
    assert "Grain" in job["documentation"]["description"]
    assert overview["run"]["facets"]["processing_engine"]["name"] == "DuckDB"
    inspected = facets_of(last_of(events, "ingestion.inspect_raw_files"), "inputs", "raw")
    files = list(whole.raw.rglob("*.parquet"))
    size = sum(file.stat().st_size for file in files)
    assert {key: inspected["inputStatistics"][key] for key in ("rowCount", "fileCount", "size")} == {
        "rowCount": 12,
        "fileCount": 2,
        "size": size,
    }
    fact = facets_of(last_of(events, "curated.summarise_tags"), "outputs", "fact_bioreactor_batch_stats")
    assert fact["lifecycleStateChange"]["lifecycleStateChange"] == "CREATE"
    lineage = fact["columnLineage"]
    assert {one["field"] for one in lineage["fields"]["stddev_value"]["inputFields"]} == {"value"}
    (direct,) = lineage["fields"]["avg_value"]["inputFields"]
    assert [part["subtype"] for part in direct["transformations"] if part["type"] == "DIRECT"] == ["AGGREGATION"]
    keys = {one["field"]: {part["subtype"] for part in one["transformations"]} for one in lineage["dataset"]}
    assert all("GROUP_BY" in keys[key] for key in ("batch_id", "equipment_id", "tag"))


@pytest.mark.slow
def test_layers_run_alone_make_the_same_graph(whole: LakeWithLineage, lake: LakeWithLineage) -> None:
    for layer in LAYERS:
        lake.run(layer)
        events = lake.new_events()
        assert story(events)[0] == ("START", layer)
        assert story(events)[-1] == ("COMPLETE", layer)
        assert all("root" not in event["run"]["facets"].get("parent", {}) for event in events)
    events = lake.all_events()
    confirm(events)
    assert {job for _, job in story(events)} == {*NODES, *LAYERS}
    picture = Picture(events)
    assert picture.duplicates() == []
    assert all(picture.is_connected(lake.raw_name, name) for name in mart_names(events).values())
    assert plain_edges(lake) == plain_edges(whole)


@pytest.mark.slow
def test_a_run_with_nothing_to_do_keeps_the_graph(lake: LakeWithLineage) -> None:
    lake.run()
    first = lake.new_events()
    lake.run()
    second = lake.new_events()
    confirm([*first, *second])
    assert story(second) == story(first)
    for job in ("curated.summarise_tags", "marts.build_timeline"):
        before, after = last_of(first, job), last_of(second, job)
        for one, other in zip(before["outputs"], after["outputs"], strict=True):
            assert one["facets"]["version"] == other["facets"]["version"]
            assert other["outputFacets"]["outputStatistics"]["rowCount"] == 0
            assert "lifecycleStateChange" not in other["facets"]
        assert all(one["inputFacets"]["inputStatistics"]["rowCount"] == 0 for one in after["inputs"])
    lake.put_batches(3)
    lake.run()
    events = lake.new_events()
    fact = facets_of(last_of(events, "curated.summarise_tags"), "outputs", "fact_bioreactor_batch_stats")
    assert fact["version"] != facets_of(last_of(first, "curated.summarise_tags"), "outputs", "stats")["version"]
    read = facets_of(last_of(events, "curated.summarise_tags"), "inputs", "stg_bioreactor")["inputStatistics"]
    assert (read["rowCount"], read["fileCount"]) == (6, 1)


def test_nothing_to_ingest_is_no_failure(tmp_path: Path, server: str) -> None:
    lake = LakeWithLineage(tmp_path / "lake", server)
    with lake.telling(), pytest.raises(LakeError):
        lake.run()
    events = lake.all_events()
    confirm(events)
    assert story(events)[-3:] == [
        ("ABORT", "ingestion.inspect_raw_files"),
        ("COMPLETE", "ingestion"),
        ("COMPLETE", "__default__"),
    ]
    lake.drop()


def of_no_column(stg_bioreactor: ibis.Table) -> ibis.Table:
    return stg_bioreactor.group_by("no_such_column").agg()


def with_doubled_keys(dim_batch: ibis.Table, fact_bioreactor_batch_stats: ibis.Table, rules: object) -> ibis.Table:
    from bioreactor_lake.pipelines.marts.nodes import build_overview

    rows = build_overview(dim_batch, fact_bioreactor_batch_stats, rules)
    return rows.union(rows)


def beyond_every_integer(stg_bioreactor: ibis.Table, batch_sheets: ibis.Table) -> ibis.Table:
    from bioreactor_lake.pipelines.curated.nodes import describe_batches

    return describe_batches(stg_bioreactor, batch_sheets).mutate(reading_count=ibis._.batch_id.cast("int64"))


@pytest.mark.parametrize(
    ("node", "logic", "job"),
    [
        ("summarise_tags", of_no_column, "curated.summarise_tags"),
        ("describe_batches", beyond_every_integer, "curated.describe_batches"),
        ("build_overview", with_doubled_keys, "marts.build_overview"),
    ],
    ids=["in the function", "in a save to DuckDB", "in a COPY"],
)
def test_a_failure_is_told_of_its_node(lake: LakeWithLineage, node: str, logic: Any, job: str) -> None:
    layer = job.partition(".")[0]
    lake.logic[f"{layer}.{node}"] = logic
    with pytest.raises(Exception, match=r"\w"):
        lake.run()
    events = lake.new_events()
    confirm(events)
    assert story(events)[-3:] == [("FAIL", job), ("FAIL", layer), ("FAIL", "__default__")]
    error = last_of(events, job)["run"]["facets"]["errorMessage"]
    assert error["message"]
    assert "Traceback" in error["stackTrace"]
    completed = {name for kind, name in story(events) if kind == "COMPLETE"}
    assert job not in completed
    assert set(LAYERS[: LAYERS.index(layer)]) <= completed
    lake.logic.clear()
    lake.run()
    confirm([*events, *lake.new_events()])
    picture = Picture(lake.all_events())
    assert all(picture.is_connected(lake.raw_name, name) for name in mart_names(lake.all_events()).values())


def test_a_layer_without_the_ones_below_fails_at_its_first_node(lake: LakeWithLineage) -> None:
    with pytest.raises(Exception, match="is not there yet"):
        lake.run("marts")
    events = lake.new_events()
    confirm(events)
    assert story(events) == [
        ("START", "marts"), ("START", "marts.build_overview"), ("FAIL", "marts.build_overview"), ("FAIL", "marts"),
    ]  # fmt: skip
    assert [one["name"] for one in events[1]["inputs"]] == [
        "lake.curated.dim_batch",
        "lake.curated.fact_bioreactor_batch_stats",
    ]


def test_whoever_started_a_run_is_its_parent(lake: LakeWithLineage) -> None:
    airflow = {
        "OPENLINEAGE_PARENT_ID": f"airflow/nightly.lake/{AIRFLOW}",
        "OPENLINEAGE_ROOT_PARENT_ID": f"airflow/nightly/{DAG}",
        "AIRFLOW_CTX_LOGICAL_DATE": "2026-11-22T02:00:00+01:00",
    }
    with lake.telling(**airflow):
        lake.run("ingestion")
    events = lake.new_events()
    assert errors_of_all(events) == []
    marquez = Marquez()
    for event in events:
        marquez.judge(event)
    # What the scheduler itself tells is not among these events, and Marquez shows its task above the pipeline.
    known = ("has not started: Marquez makes one up", "Marquez makes a second job bioreactor_lake ingestion")
    assert [one for one in marquez.problems if not one.endswith(known)] == []
    parent = events[0]["run"]["facets"]["parent"]
    assert (parent["job"], parent["run"]["runId"]) == ({"namespace": "airflow", "name": "nightly.lake"}, AIRFLOW)
    for event in events:
        facets = event["run"]["facets"]
        assert (facets["parent"]["root"]["job"]["name"], facets["parent"]["root"]["run"]["runId"]) == ("nightly", DAG)
        start = datetime.fromisoformat(facets["nominalTime"]["nominalStartTime"])
        assert start == datetime(2026, 11, 22, 1, tzinfo=UTC)


@pytest.mark.slow
def test_the_run_that_read_a_file_is_the_run_of_the_events(lake: LakeWithLineage) -> None:
    run = lake.run()
    events = lake.new_events()
    with lake.open_warehouse() as connection:
        assert connection.execute("SELECT DISTINCT run_id FROM raw.files").fetchall() == [(run.run_id,)]
    assert {event["run"]["runId"] for event in events if event["job"]["name"] == "__default__"} == {run.run_id}


def test_what_cannot_be_told_does_not_stop_a_run(lake: LakeWithLineage) -> None:
    lake.file.parent.mkdir(parents=True)
    lake.file.mkdir()  # events cannot be appended to a folder
    run = lake.run()
    assert any("events are not in" in notice for notice in run.notices), run.notices
    assert len(lake.tables()["mart_bioreactor_overview"]) > 0


def test_checks_are_told_with_what_they_are_about(lake: LakeWithLineage) -> None:
    lake.checkpoints = True
    lake.put("B-0003.parquet", [(*row[:4], 999.0) for row in readings("B-0003", 3)])
    assert list(lake.run().held) == ["B-0003"]
    events = lake.new_events()
    confirm(events)
    read = facets_of(last_of(events, "curated.summarise_tags"), "inputs", "stg_bioreactor")
    assertions = {one["name"]: one for one in read["dataQualityAssertions"]["assertions"]}
    physical = assertions["values_are_physical"]
    assert (physical["success"], physical["severity"], physical["column"]) == (False, "error", "value")
    assert assertions["batch_id_is_given"]["success"]
    fact = facets_of(last_of(events, "marts.build_overview"), "inputs", "fact_bioreactor_batch_stats")
    assert all(one["success"] for one in fact["dataQualityAssertions"]["assertions"])


@pytest.mark.parametrize("url", ["postgresql://lake@h:x/lake", "host=h port=x", "mysql://h/x"])
def test_an_address_that_cannot_be_read_fails_the_run_in_lineage_too(lake: LakeWithLineage, url: str) -> None:
    known, lake.database = lake.database, url
    try:
        with pytest.raises(Exception, match=r"\w"):
            lake.run()
    finally:
        lake.database = known
    events = lake.new_events()
    check(events)
    assert story(events)[-1] == ("FAIL", "__default__")
    assert events[-1]["run"]["facets"]["errorMessage"]["message"]
