"""The picture of stored events: what leads where, and what Marquez would not draw."""

from __future__ import annotations

import pytest
from broken_events import ALIAS, COLUMNS, SCHEMA, changed, in_both, orchestrated, ordered
from lineage_picture import Picture
from marquez_names import Identity
from valid_events import GONE, NAMESPACE, RAW, STAGED, dataset, event, lineage, put, run_id, schema, small_run

RAW_FILE = Identity("file", "/lake/raw/a.parquet")
TABLE = Identity("duckdb:///lake/lake.duckdb", "lake.staging.readings")
MART = Identity("postgres://localhost:5432", "lake.marts.overview")
NODE = Identity(NAMESPACE, "staging.stage_readings")


def test_a_small_run() -> None:
    picture = Picture([*small_run(), *_publish()])
    assert picture.edges == {
        (RAW_FILE, NODE),
        (NODE, TABLE),
        (TABLE, Identity(NAMESPACE, "publish")),
        (Identity(NAMESPACE, "publish"), MART),
    }
    assert picture.upstream(MART) == {RAW_FILE, TABLE}
    assert picture.downstream(("file", "/lake/raw/a.parquet")) == {TABLE, MART}
    assert picture.is_connected(RAW_FILE, MART)
    assert picture.is_connected(NODE, MART)
    assert not picture.is_connected(MART, RAW_FILE)
    assert picture.column_sources(MART, "first_ts") == {(RAW_FILE, "ts")}
    assert picture.column_sources(RAW_FILE, "ts") == set()
    assert picture.fields(TABLE) == {"ts": "timestamp", "value": "double"}
    assert picture.duplicates() == []
    assert {name: job.parent for name, job in picture.jobs.items()} == {
        Identity(NAMESPACE, "staging"): None,
        NODE: Identity(NAMESPACE, "staging"),
        Identity(NAMESPACE, "publish"): None,
    }
    assert {run.state for run in picture.runs.values()} == {"COMPLETED"}
    with pytest.raises(KeyError, match="neither a dataset nor a job"):
        picture.upstream(("file", "/lake/raw/b.parquet"))


@pytest.mark.parametrize(
    ("event_type", "state"), [("FAIL", "FAILED"), ("ABORT", "ABORTED"), ("COMPLETE", "COMPLETED"), ("OTHER", "RUNNING")]
)
def test_states(event_type: str, state: str) -> None:
    events = changed((2, "eventType", event_type))()
    node = Picture(events).runs[events[1]["run"]["runId"]]
    assert node.state == state
    assert node.parent == events[0]["run"]["runId"]


def test_edges_of_a_run_that_goes_on() -> None:
    assert Picture(ordered(0, 1)()).edges == set()
    # Of a later run, only a side that it leaves out changes the job before it ends.
    begin = event("START", run_id(), "publish", inputs=[STAGED])
    picture = Picture([*_publish(), begin])
    assert picture.edges == {(TABLE, Identity(NAMESPACE, "publish"))}
    assert picture.upstream(MART) == set()


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_side_that_the_end_leaves_out(side: str) -> None:
    picture = Picture(changed((2, "eventType", "FAIL"), (2, side, []))())
    assert not picture.is_connected(RAW_FILE, TABLE)
    assert len(picture.edges) == 1


def test_the_latest_run_counts() -> None:
    other = dataset("file", "/lake/raw/b.parquet")
    later = small_run()
    for number in (1, 2):
        put(later[number], "inputs", [other])
    picture = Picture([*small_run(), *later])
    assert picture.upstream(TABLE) == {Identity("file", "/lake/raw/b.parquet")}
    assert len(picture.jobs[NODE].runs) == 2
    # A new version without lineage takes none away.
    assert picture.column_sources(TABLE, "ts") == {(RAW_FILE, "ts")}


def test_versions_of_a_run() -> None:
    for broken in ((1, SCHEMA, GONE), (1, "outputs.0.facets.lifecycleStateChange", GONE)):
        events = changed(broken)()
        assert len(Picture(events).versions(TABLE, events[1]["run"]["runId"])) == 2
    events = small_run()
    assert len(Picture(events).versions(TABLE, events[1]["run"]["runId"])) == 1
    assert Picture(events).versions(RAW_FILE, events[1]["run"]["runId"]) == []
    bare = in_both((SCHEMA, GONE))()
    assert Picture([*events, *bare]).fields(TABLE) == {}


def test_an_input_adds_fields_and_takes_none_away() -> None:
    without = dataset(TABLE.namespace, TABLE.name)
    wider = dataset(TABLE.namespace, TABLE.name, schema=schema(ts="timestamp", unit="varchar"))
    picture = Picture([*small_run(), *_publish(without), *_publish(wider)])
    assert picture.fields(TABLE) == {"ts": "timestamp", "value": "double", "unit": "varchar"}
    assert not picture.datasets[TABLE].twice
    narrow = dataset(TABLE.namespace, TABLE.name, schema=schema(ts="timestamp(6)"))
    assert Picture([*small_run(), *_publish(narrow)]).datasets[TABLE].twice == {"ts"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{SCHEMA}.fields.0.name", "time"),
        (SCHEMA, GONE),
        ("inputs.0.facets.schema", GONE),
        ("inputs.0.facets.schema.fields.0.name", "time"),
        ("inputs.0.name", "/lake/raw/b.parquet"),
        (COLUMNS, GONE),
    ],
)
def test_lineage_of_columns_that_is_not_stored(path: str, value: object) -> None:
    assert Picture(in_both((path, value))()).column_sources(TABLE, "ts") == set()


def test_a_column_made_of_itself() -> None:
    events = in_both(("inputs", [STAGED]), (COLUMNS, lineage(STAGED, ts="ts", value="ts")))()
    assert Picture(events).column_sources(TABLE, "value") == set()
    assert Picture([*small_run(), *events]).column_sources(TABLE, "value") == {(RAW_FILE, "ts"), (RAW_FILE, "value")}


def test_symlinks() -> None:
    linked = in_both(("outputs.0.facets.symlinks", ALIAS))()
    reader = _publish(dataset("file", "/b", schema=schema(ts="timestamp")))
    picture = Picture([*linked, *reader])
    assert picture.is_connected(RAW_FILE, MART)
    assert picture.upstream(("file", "/b")) == {RAW_FILE}
    assert picture.column_sources(MART, "first_ts") == set()  # lineage joins on the first name
    late = Picture([*reader, *linked])
    assert not late.is_connected(RAW_FILE, MART)
    assert Identity("file", "/b") in late.datasets


def test_jobs_of_a_pipeline_that_was_started_by_another() -> None:
    picture = Picture(orchestrated())
    assert {name.name: job.is_made_up for name, job in picture.jobs.items()} == {
        "nightly": False,
        "nightly.staging": False,
        "staging": True,
        "staging.stage_readings": False,
    }
    assert Picture(in_both(("job.name", "stage_readings"))()).jobs[NODE].parent == Identity(NAMESPACE, "staging")


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("file", "/lake/raw/A.parquet"),
        ("file", "/lake/raw//a.parquet"),
        ("file", "/lake/raw/a.parquet/"),
        ("file", "/lake/./raw/a.parquet"),
        ("file://", "/lake/raw/a.parquet"),
        ("FILE", "/lake/raw/a.parquet"),
    ],
)
def test_duplicates(namespace: str, name: str) -> None:
    twin = dataset(namespace, name)
    assert Picture(in_both(("inputs", [RAW, twin]))()).duplicates() == [{RAW_FILE, Identity(namespace, name)}]
    assert Picture(in_both(("inputs", [RAW, dataset("file", "/lake/raw/b.parquet")]))()).duplicates() == []


def _publish(source: dict[str, object] = STAGED) -> list[dict[str, object]]:
    mart = dataset(*MART, schema=schema(first_ts="timestamp"), columnLineage=lineage(source, first_ts="ts"))
    run = run_id()
    return [event(kind, run, "publish", inputs=[source], outputs=[mart]) for kind in ("START", "COMPLETE")]
