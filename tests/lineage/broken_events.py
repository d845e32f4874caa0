"""Ways in which valid events can be broken, with what the lineage server is to say of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from valid_events import GONE, NAMESPACE, RAW, dataset, event, facet, parent, put, run_id, schema, small_run

Events = list[dict[str, Any]]
SCHEMA, COLUMNS = "outputs.0.facets.schema", "outputs.0.facets.columnLineage"

# A path in the START of the node, what is put there, the status, and a word of the reason.
REFUSED = [
    ("eventTime", GONE, 422, "eventTime"),
    ("eventTime", "2026-11-23T10:00:00", 400, "zone"),
    ("eventTime", "2026-13-23T10:00:00Z", 400, "zone"),
    ("producer", GONE, 422, "producer"),
    ("producer", "bioreactor lake", 400, "no URI"),
    ("schemaURL", GONE, 400, "RunEvent"),
    ("schemaURL", "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent", 400, "RunEvent"),
    ("schemaURL", "https://openlineage.io/spec/2-0-2/OpenLineage.json", 400, "RunEvent"),
    ("eventType", GONE, 500, "eventType"),
    ("eventType", "DONE", 400, "DONE"),
    ("run", GONE, 422, "runId"),
    ("run.runId", GONE, 422, "runId"),
    ("job", GONE, 422, "job"),
    ("job.namespace", GONE, 422, "job.namespace"),
    ("job.name", GONE, 422, "job.name"),
    ("inputs.0.namespace", GONE, 422, "inputs[0].namespace"),
    ("outputs.0.name", GONE, 422, "outputs[0].name"),
    ("inputs", {}, 400, "inputs"),
    ("job.facets.jobType._producer", GONE, 422, "_producer"),
    ("inputs.0.facets.schema._schemaURL", GONE, 422, "_schemaURL"),
    ("inputs.0.facets.schema._schemaURL", "the schema", 400, "no URI"),
    ("inputs.0.inputFacets", {"inputStatistics": {"rowCount": 1}}, 422, "_producer"),
    ("outputs.0.outputFacets", {"outputStatistics": {"rowCount": 1}}, 422, "_producer"),
    ("run.facets.parent.run.facets", {"tags": {}}, 422, "parent.run.facets.tags"),
    ("run.facets.parent.job.namespace", GONE, 422, "job.namespace"),
    ("run.facets.parent.root", {"run": {}, "job": {}}, 422, "root.run.runId"),
    ("run.facets.parent.job", {"namespace": "lake", "name": "a:b"}, 400, "parent.job.name"),
    ("run.facets.parent.root", {"run": {"runId": "x"}}, 422, "root.job is missing"),
    ("job.facets", [], 400, "job.facets is no object"),
    ("job.facets.jobType", "TASK", 400, "jobType is no object"),
    ("job.facets.jobType.jobType", GONE, 422, "jobType.jobType"),
    ("job.facets.jobType.processingType", GONE, 422, "processingType"),
    ("job.facets.sql", facet("SQLJobFacet", "1-1-0"), 422, "query"),
    ("outputs.0.facets.dataSource.name", GONE, 422, "dataSource.name"),
    ("outputs.0.facets.dataSource.uri", GONE, 422, "dataSource.uri"),
    (f"{SCHEMA}.fields", {}, 400, "schema.fields is no list"),
    (f"{SCHEMA}.fields.0.name", GONE, 422, "fields[0].name"),
    (f"{COLUMNS}.fields", GONE, 422, "columnLineage.fields"),
    (f"{COLUMNS}.fields.ts.inputFields", GONE, 422, "inputFields"),
    (f"{COLUMNS}.fields.ts.inputFields.0.namespace", GONE, 422, "inputFields[0].namespace"),
    (f"{COLUMNS}.fields.ts.inputFields.0.field", GONE, 422, "field is missing"),
    ("outputs.0.facets.symlinks", facet("S", "1-0-1", identifiers=[{"name": "b"}]), 422, "identifiers[0].namespace"),
    (f"{SCHEMA}.fields.0.description", "a\0b", 500, "u0000"),
    ("job.facets", {"a\0b": {}}, 500, "u0000"),
    (f"{SCHEMA}.fields.0.description", "\ud800", 500, "surrogate"),
    ("outputs.0.outputFacets", {"outputStatistics": {"rowCount": math.nan}}, 400, "nan"),
    ("outputs.0.outputFacets", {"outputStatistics": {"rowCount": -math.inf}}, 400, "inf"),
    ("job.namespace", "my lake", 400, "does not match"),
    ("job.namespace", "lake;a", 400, "holds ;"),
    ("inputs.0.namespace", "s3://bucket?a=b", 400, "does not match"),
    ("inputs.0.namespace", "s3://a=b", 400, "holds ="),
    ("inputs.0.namespace", "file:///home/~me", 400, "does not match"),
    ("inputs.0.namespace", "file:///a%20b", 400, "does not match"),
    ("inputs.0.namespace", "s" * 1025, 400, "does not match"),
    ("inputs.0.name", "a:b", 400, "holds :"),
    ("outputs.0.name", "a#b", 400, "holds #"),
    ("outputs.0.name", "5_minutes", 400, "digit"),
    ("job.name", "staging.a:b", 400, "holds :"),
    ("job.name", "1_staging", 400, "digit"),
]


def changed(*changes: tuple[int, str, Any]) -> Callable[[], Events]:
    """A small run with parts of some events changed: number of the event, path, value."""

    def make() -> Events:
        events = small_run()
        for number, path, value in changes:
            put(events[number], path, value)
        return events

    return make


def in_both(*changes: tuple[str, Any]) -> Callable[[], Events]:
    """A small run with the node's START and COMPLETE changed alike."""
    return changed(*((number, path, value) for number in (1, 2) for path, value in changes))


def ordered(*numbers: int) -> Callable[[], Events]:
    """Events of a small run in another order, dated anew."""

    def make() -> Events:
        events = small_run()
        times = [one["eventTime"] for one in events]
        return [{**events[number], "eventTime": times[place]} for place, number in enumerate(numbers)]

    return make


def misled() -> Events:
    """An orchestrated run whose node names another root than the pipeline's parent."""
    events = orchestrated()
    for one in events[2:4]:
        put(one, "run.facets.parent.root.job.name", "weekly")
    return events


def orchestrated(root: bool = True, named: str = "staging", first: str = "staging") -> Events:
    """A small run whose pipeline was started by another run, in another namespace."""
    above, whole, node = run_id(), run_id(), run_id()
    by = {"job": {"namespace": "scheduler", "name": "nightly"}, "run": {"runId": above}}
    child = parent(whole, named, **({"root": by} if root else {}))
    own = {"run": {"parent": parent(above, "nightly", "scheduler")}}
    begin = event("START", above, "nightly")
    begin["job"]["namespace"] = "scheduler"
    return [
        begin,
        event("START", whole, first, **own),
        event("START", node, f"{named}.stage_readings", run={"parent": child}),
        event("COMPLETE", node, f"{named}.stage_readings", run={"parent": child}),
        event("COMPLETE", whole, first, **own),
    ]


def ended_twice() -> Events:
    events = small_run()
    return [*events[:3], {**events[2], "eventType": "FAIL", "eventTime": events[3]["eventTime"]}, events[3]]


OTHER = dataset("file", "/lake/raw/b.parquet", schema=schema(ts="timestamp"))
ALIAS = facet("SymlinksDatasetFacet", "1-0-1", identifiers=[{"namespace": "file", "name": "/b", "type": "TABLE"}])
LOST: dict[str, tuple[Callable[[], Events], str]] = {
    "FAIL without outputs": (changed((2, "eventType", "FAIL"), (2, "outputs", [])), "outputs differ"),
    "START without inputs": (changed((1, "inputs", GONE)), "inputs differ"),
    "another input": (changed((2, "inputs", [RAW, OTHER])), "inputs differ from those of START: + file /lake/raw/b"),
    "another schema": (changed((2, f"{SCHEMA}.fields.0.type", "date")), "the schema of"),
    "a schema in COMPLETE only": (changed((1, SCHEMA, GONE)), "COMPLETE has a schema"),
    "a schema in START only": (changed((2, SCHEMA, GONE)), "START has a schema"),
    "an input's schema in START only": (changed((2, "inputs.0.facets.schema", GONE)), "START has a schema"),
    "a lifecycle state in COMPLETE only": (
        changed((1, "outputs.0.facets.lifecycleStateChange", GONE)),
        "COMPLETE has a lifecycleStateChange",
    ),
    "another source": (changed((2, "outputs.0.facets.dataSource.name", "other")), "the dataSource of"),
    "node before its pipeline": (ordered(1, 0, 2, 3), "has not started"),
    "parent of another name": (in_both(("run.facets.parent.job.name", "curated")), "parent facet says"),
    "parent of another namespace": (in_both(("run.facets.parent.job.namespace", "lake")), "parent facet says"),
    "parent run that is unknown": (in_both(("run.facets.parent.run.runId", run_id())), "has not started"),
    "node without the pipeline's name": (in_both(("job.name", "stage_readings")), "does not begin with staging."),
    "node with the pipeline's name": (in_both(("job.name", "staging.")), "does not begin with staging."),
    "parent in START only": (changed((2, "run.facets.parent", GONE)), "some do not"),
    "no root": (lambda: orchestrated(root=False), "no root"),
    "another root": (misled, "is not its parent's"),
    "a pipeline under another job": (orchestrated, f"a second job {NAMESPACE} staging"),
    "lineage of an unknown column": (in_both((f"{SCHEMA}.fields.0.name", "time")), "schema has no such field"),
    "lineage without a schema": (in_both((SCHEMA, GONE)), "schema has no such field"),
    "lineage from an unknown dataset": (in_both(("inputs", [OTHER])), "is not among the inputs"),
    "lineage from a dataset without schema": (in_both(("inputs.0.facets.schema", GONE)), "has no schema"),
    "lineage from an unknown column of an input": (in_both(("inputs.0.facets.schema.fields.0.name", "t")), "field ts"),
    "no transformations": (
        in_both((f"{COLUMNS}.fields.ts.inputFields.0.transformations", [])),
        "has no transformations",
    ),
    "no transformationType": (in_both((f"{COLUMNS}.fields.ts.transformationType", GONE)), "transformationType"),
    "no transformationDescription": (
        in_both((f"{COLUMNS}.fields.ts.transformationDescription", GONE)),
        "transformationDescription",
    ),
    "two STARTs": (changed((2, "eventType", "START")), "two STARTs"),
    "no START": (ordered(0, 2, 3), "before the run's START"),
    "START after the end": (ordered(0, 2, 1, 3), "comes after the run's COMPLETE"),
    "two ends": (ended_twice, "comes after the run's COMPLETE"),
    "a node that never ends": (ordered(0, 1, 3), "never ends"),
    "a clock that goes backwards": (changed((2, "eventTime", "2020-01-01T00:00:00Z")), "eventTime"),
    "an id of version 4": (in_both(("run.runId", "7c9e6679-7425-40de-944b-e07fc1f90ae7")), "version 7"),
    "an id that is none": (in_both(("run.runId", "run 7")), "version 7"),
    "one run of two jobs": (changed((2, "job.name", "staging.other")), "the run was one of"),
    "a job that streams": (in_both(("job.facets.jobType.processingType", "STREAMING")), "not BATCH"),
    "a symlink of a known dataset": (
        in_both(("inputs", [RAW, dataset("file", "/b")]), ("outputs.0.facets.symlinks", ALIAS)),
        "no symlink",
    ),
}
