"""Valid events of a small lake: a pipeline of one node, which reads a file and writes a table."""

from __future__ import annotations

import time
from copy import deepcopy
from itertools import count
from typing import Any

from bioreactor_lake.lake.runs import new_run_id

PRODUCER = "https://example.org/producer/1.0"
SPEC = "https://openlineage.io/spec"
NAMESPACE = "bioreactor_lake"
_SECONDS = count(int(time.time()))


def facet(name: str, version: str, /, **parts: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": f"{SPEC}/facets/{version}/{name}.json#/$defs/{name}", **parts}


def schema(**types: str) -> dict[str, Any]:
    fields = [{"name": name, "type": kind} for name, kind in types.items()]
    return facet("SchemaDatasetFacet", "1-2-0", fields=fields)


def dataset(namespace: str, name: str, **facets: Any) -> dict[str, Any]:
    return {"namespace": namespace, "name": name, "facets": facets}


def lineage(source: dict[str, Any], **columns: str) -> dict[str, Any]:
    """Each output column from one field of the source."""
    return facet(
        "ColumnLineageDatasetFacet",
        "1-2-0",
        fields={
            column: {
                "inputFields": [
                    {
                        "namespace": source["namespace"],
                        "name": source["name"],
                        "field": field,
                        "transformations": [{"type": "DIRECT", "subtype": "IDENTITY", "description": field}],
                    }
                ],
                "transformationType": "IDENTITY",
                "transformationDescription": field,
            }
            for column, field in columns.items()
        },
    )


def job_type(kind: str) -> dict[str, Any]:
    return facet("JobTypeJobFacet", "2-0-4", processingType="BATCH", integration="KEDRO", jobType=kind)


def parent(run_id: str, name: str, namespace: str = NAMESPACE, **root: Any) -> dict[str, Any]:
    job = {"namespace": namespace, "name": name}
    return facet("ParentRunFacet", "1-2-0", run={"runId": run_id}, job=job, **root)


def event(kind: str, run_id: str, job: str, **parts: Any) -> dict[str, Any]:
    """An event a second after the one before it; `inputs`, `outputs`, `run` and `facets` (of the job) as given."""
    whole = {
        "eventType": kind,
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(next(_SECONDS))),
        "producer": PRODUCER,
        "schemaURL": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run_id, "facets": parts.get("run", {})},
        "job": {"namespace": NAMESPACE, "name": job, "facets": parts.get("facets", {"jobType": job_type("TASK")})},
        "inputs": parts.get("inputs", []),
        "outputs": parts.get("outputs", []),
    }
    return deepcopy(whole)


GONE = object()


def put(event: dict[str, Any], path: str, value: Any) -> None:
    """Set a part of an event, such as `outputs.0.facets.schema`, or take it away where the value is `GONE`."""
    *above, last = (int(key) if key.isdigit() else key for key in path.split("."))
    inner: Any = event
    for key in above:
        inner = inner[key]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = deepcopy(value)


def run_id() -> str:
    return str(new_run_id())


RAW = dataset("file", "/lake/raw/a.parquet", schema=schema(ts="timestamp", value="double"))
STAGED = dataset(
    "duckdb:///lake/lake.duckdb",
    "lake.staging.readings",
    schema=schema(ts="timestamp", value="double"),
    columnLineage=lineage(RAW, ts="ts", value="value"),
    dataSource=facet("DatasourceDatasetFacet", "1-0-1", name="warehouse", uri="duckdb:///lake/lake.duckdb"),
    lifecycleStateChange=facet("LifecycleStateChangeDatasetFacet", "1-0-1", lifecycleStateChange="OVERWRITE"),
)


def small_run() -> list[dict[str, Any]]:
    """START of a pipeline, START and COMPLETE of its node, COMPLETE of the pipeline."""
    whole, node = run_id(), run_id()
    sides = {"inputs": [RAW], "outputs": [STAGED]}
    child = {"run": {"parent": parent(whole, "staging")}, **sides}
    return [
        event("START", whole, "staging", facets={"jobType": job_type("DAG")}),
        event("START", node, "staging.stage_readings", **child),
        event("COMPLETE", node, "staging.stage_readings", **child),
        event("COMPLETE", whole, "staging", facets={"jobType": job_type("DAG")}),
    ]
