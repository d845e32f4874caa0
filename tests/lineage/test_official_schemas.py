"""The checks against the OpenLineage spec find what is wrong, with the official schemas and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import official_schemas
import pytest
from broken_events import in_both
from client_classes import find_class_errors
from official_schemas import errors_of_all, official_errors, schema_errors
from valid_events import GONE, PRODUCER, SPEC, facet, parent, put, run_id, small_run

JOB_TYPE, SCHEMA = "job.facets.jobType", "outputs.0.facets.schema"


def full_event() -> dict[str, Any]:
    """An event with every kind of facet that a lake sends."""
    one = small_run()[2]
    root = {"run": {"runId": run_id()}, "job": {"namespace": "scheduler", "name": "nightly"}}
    one["run"]["facets"] = {
        "parent": parent(run_id(), "staging", root=root),
        "errorMessage": facet("ErrorMessageRunFacet", "1-0-1", message="no", programmingLanguage="PYTHON"),
        "nominalTime": facet("NominalTimeRunFacet", "1-0-1", nominalStartTime="2026-11-23T02:00:00Z"),
        "processing_engine": facet("ProcessingEngineRunFacet", "1-1-1", version="1.5.5", name="DuckDB"),
    }
    one["job"]["facets"] |= {
        "sql": facet("SQLJobFacet", "1-1-0", query="SELECT 1", dialect="duckdb"),
        "documentation": facet("DocumentationJobFacet", "1-1-0", description="Readings."),
        "ownership": facet("OwnershipJobFacet", "1-0-1", owners=[{"name": "team:process", "type": "MAINTAINER"}]),
        "sourceCodeLocation": facet(
            "SourceCodeLocationJobFacet", "1-1-0", type="git", url="https://example.org/lake/nodes.py"
        ),
        "tags": facet("TagsJobFacet", "1-0-0", tags=[{"key": "layer", "value": "staging", "source": "KEDRO"}]),
    }
    one["outputs"][0]["facets"] |= {
        "version": facet("DatasetVersionDatasetFacet", "1-0-1", datasetVersion="abc"),
        "documentation": facet("DocumentationDatasetFacet", "1-1-0", description="Readings."),
        "ownership": facet("OwnershipDatasetFacet", "1-0-1", owners=[{"name": "team:process"}]),
        "symlinks": facet(
            "SymlinksDatasetFacet", "1-0-1", identifiers=[{"namespace": "a", "name": "b", "type": "TABLE"}]
        ),
        "datasetType": facet("DatasetTypeDatasetFacet", "1-0-1", datasetType="VIEW"),
        "tags": facet("TagsDatasetFacet", "1-0-0", tags=[{"key": "layer", "value": "staging", "field": "ts"}]),
    }
    one["outputs"][0]["outputFacets"] = {
        "outputStatistics": facet("OutputStatisticsOutputDatasetFacet", "1-0-2", rowCount=3, size=4, fileCount=1)
    }
    one["inputs"][0]["inputFacets"] = {
        "inputStatistics": facet("InputStatisticsInputDatasetFacet", "1-0-0", rowCount=3, size=4, fileCount=1),
        "dataQualityAssertions": facet(
            "DataQualityAssertionsDatasetFacet",
            "1-1-0",
            assertions=[{"assertion": "not_null", "success": False, "column": "ts", "severity": "error"}],
        ),
    }
    return one


# A path, what is put there, and a word of the error; the second of these the official schemas find as well.
BROKEN = [
    ("run.facets.lake", facet("LakeRunFacet", "1-0-0"), "run.facets.lake", False),
    ("outputs.0.facets.outputStatistics", facet("OutputStatisticsOutputDatasetFacet", "1-0-2"), "outputStatis", False),
    (f"{JOB_TYPE}._schemaURL", f"{SPEC}/facets/2-0-3/JobTypeJobFacet.json#/$defs/JobTypeJobFacet", "2-0-4", True),
    (f"{JOB_TYPE}.integration", GONE, "integration: missing", True),
    (f"{JOB_TYPE}.level", "x", "level: unknown", False),
    (f"{JOB_TYPE}.jobType", 3, "jobType", True),
    (f"{JOB_TYPE}.jobType", None, "None", True),
    (f"{JOB_TYPE}._producer", GONE, "_producer: missing", True),
    (f"{SCHEMA}.fields.0.name", GONE, "name: missing", True),
    (f"{SCHEMA}.fields.0.ordinal_position", "1", "ordinal_position", True),
    (f"{SCHEMA}.fields", {"ts": "timestamp"}, "no list", True),
    ("outputs.0.facets.columnLineage.fields", ["ts"], "no object", True),
    ("outputs.0.facets.lineage", facet("LineageDatasetFacet", "1-0-0", inputs=[{"type": "TABLE"}]), "'TABLE'", False),
    (f"{SCHEMA}.fields.0.nullable", True, "nullable: unknown", False),
    ("outputs.0.facets.columnLineage.fields.ts.inputFields.0.field", GONE, "field: missing", True),
    ("outputs.0.facets.columnLineage.fields.ts.inputFields.0.transformations.0.type", GONE, "type: missing", True),
    ("outputs.0.outputFacets.outputStatistics.rowCount", 1.5, "rowCount", True),
    ("outputs.0.outputFacets.outputStatistics.rowCount", True, "rowCount", True),
    ("inputs.0.inputFacets.dataQualityAssertions.assertions.0.success", "no", "success", True),
    ("inputs.0.inputFacets.dataQualityAssertions.assertions.0.assertion", GONE, "assertion: missing", True),
    ("run.facets.parent.root.job", GONE, "root.job: missing", True),
    ("run.facets.parent.run.facets", {"sql": facet("SQLJobFacet", "1-1-0", query="x")}, "run.facets.sql", False),
    ("run.runId", "run 7", "runId", True),
    ("eventTime", "2026-11-23", "eventTime", True),
    ("eventType", "DONE", "EventType", True),
    ("schemaURL", GONE, "schemaURL: missing", True),
    ("schemaURL", f"{SPEC}/1-0-5/OpenLineage.json#/$defs/RunEvent", "2-0-2", False),
    ("note", "x", "note: unknown", False),
    ("inputs.0.name", GONE, "name: missing", True),
    ("inputs.0.outputFacets", {}, "outputFacets: unknown", False),
]


def test_valid_events_pass() -> None:
    for one in (*small_run(), full_event()):
        assert find_class_errors(one) == []
    assert find_class_errors([]) == ["event: [] is no object"]


def test_valid_events_pass_the_official_schemas() -> None:
    assert errors_of_all([*small_run(), full_event()]) == []


@pytest.mark.parametrize(("path", "value", "word", "is_official"), BROKEN)
def test_broken(path: str, value: Any, word: str, is_official: bool) -> None:
    one = full_event()
    put(one, path, value)
    errors = find_class_errors(one)
    assert any(word in error for error in errors), errors
    assert set(schema_errors(one)) >= set(errors)
    if official_schemas.SPEC.is_dir():
        assert bool(official_errors()(one)) == is_official


def test_what_the_client_sends_passes() -> None:
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import job_type_job
    from openlineage.client.serde import Serde

    kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="KEDRO", jobType="DAG", producer=PRODUCER)
    one = RunEvent(
        eventType=RunState.START,
        eventTime="2026-11-23T10:00:00+00:00",
        producer=PRODUCER,
        run=Run(run_id()),
        job=Job("lake", "staging", facets={"jobType": kind}),
    )
    assert find_class_errors(Serde.to_dict(one)) == []


def test_without_the_official_schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official_schemas, "SPEC", tmp_path / "openlineage-spec")
    with pytest.raises(pytest.skip.Exception, match=f"are not at {tmp_path}"):
        schema_errors(small_run()[0])
    broken = in_both((f"{JOB_TYPE}.integration", GONE))()
    assert [error.split(": ")[0] for error in errors_of_all(broken)] == [f"event.{JOB_TYPE}.integration"] * 2
