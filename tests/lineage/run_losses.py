"""What Marquez answers 201 to and then loses, or shows twice: seen over all events of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import RFC_4122, UUID

from marquez_names import DatasetNames, Identity, JobNames, find_parent, identify

SIDES = ("inputs", "outputs")
ENDS = ("COMPLETE", "FAIL", "ABORT")


@dataclass
class _Run:
    """A run as its events so far tell it."""

    job: Identity
    parent: dict[str, Any] | None
    first: str
    sides: dict[str, frozenset[Identity]]
    latest: datetime
    is_started: bool = False
    end: str = ""
    shapes: dict[tuple[str, Identity], tuple[str, dict[str, str | None]]] = field(default_factory=dict)


class RunLosses:
    """Collects the losses of events in the order in which they arrive."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}
        self._runs: dict[str, _Run] = {}
        self._jobs, self._datasets = JobNames(), DatasetNames()

    def add(self, event: Mapping[str, Any]) -> None:
        who = f"{event['eventType']} of {event['job']['name']}, run {event['run']['runId']}"
        for found in (*self._of_run(event), *self._of_parent(event), *_of_lineage(event), *self._of_symlinks(event)):
            self._found.setdefault(f"{who}: {found}")

    def sentences(self) -> list[str]:
        """All losses, with the runs that were left open when their parent's ended."""
        left = [
            f"run {run_id} of {run.job.name} never ends, and its parent's run ended with {parent.end}"
            for run_id, run in self._runs.items()
            if run.parent and not run.end
            for parent in (self._runs.get(run.parent["run"]["runId"]),)
            if parent and parent.end
        ]
        return [*self._found, *left]

    def _of_run(self, event: Mapping[str, Any]) -> Iterator[str]:
        kind, run_id = event["eventType"], event["run"]["runId"]
        moment = datetime.fromisoformat(event["eventTime"])
        sides = {side: frozenset(identify(one) for one in event.get(side) or ()) for side in SIDES}
        run = self._runs.get(run_id)
        if run is None:
            run = self._runs[run_id] = _Run(identify(event["job"]), find_parent(event), kind, sides, moment)
            if not _is_version_7(run_id):
                yield "the run's id is no UUID of version 7"
        if identify(event["job"]) != run.job:
            yield f"the run was one of {run.job} before"
        if moment < run.latest:
            yield f"eventTime {event['eventTime']} is before {run.latest.isoformat()}, that of an earlier event"
        if run.end:
            yield f"comes after the run's {run.end}"
        if kind == "START" and run.is_started:
            yield "the run has two STARTs"
        if kind in ENDS and not run.is_started:
            yield "comes before the run's START"
        for side in SIDES:
            if sides[side] != run.sides[side]:
                # An event without a side takes that side's edges from the job.
                yield f"its {side} differ from those of {run.first}: {_difference(sides[side], run.sides[side])}"
        if _of_job(event, "jobType").get("processingType", "BATCH") != "BATCH":
            yield "processingType is not BATCH"
        yield from self._of_versions(event, run)
        run.latest = max(run.latest, moment)
        run.is_started |= kind == "START"
        run.end = run.end or (kind if kind in ENDS else "")

    def _of_versions(self, event: Mapping[str, Any], run: _Run) -> Iterator[str]:
        """A version of a dataset is a hash over its schema, lifecycle state and source, and the run."""
        schemas: dict[Identity, str] = {}
        for side in SIDES:
            for dataset in event.get(side) or ():
                name, shape = identify(dataset), _shape(dataset)
                if side == "inputs":  # of these Marquez makes no version where there is one
                    shape = {"schema": shape["schema"]}
                first, known = run.shapes.setdefault((side, name), (event["eventType"], shape))
                for part, value in shape.items():
                    if value == known[part]:
                        continue
                    if value is None or known[part] is None:
                        has, lacks = (first, event["eventType"]) if value is None else (event["eventType"], first)
                        yield f"{has} has a {part} of {name}, {lacks} has none: two versions of the dataset"
                    else:
                        yield f"the {part} of {name} differs from that of {first}: two versions of the dataset"
                if shape["schema"] is not None and schemas.setdefault(name, shape["schema"]) != shape["schema"]:
                    yield f"the schema of {name} differs between inputs and outputs"

    def _of_parent(self, event: Mapping[str, Any]) -> Iterator[str]:
        job, facet = identify(event["job"]), find_parent(event)
        drawn = self._jobs.draw(event)
        if (facet is None) != (self._runs[event["run"]["runId"]].parent is None):
            yield "some events of the run carry a parent facet and some do not"
        if facet is None:
            return
        named, run_id = identify(facet["job"]), facet["run"]["runId"]
        parent = self._runs.get(run_id)
        if parent is None or not parent.is_started:
            yield f"its parent, run {run_id} of {named}, has not started: Marquez makes one up"
            return
        if parent.job != named:
            yield f"the parent facet says {named}, run {run_id} is one of {parent.job}: Marquez makes a second job"
            return
        if parent.job.namespace == job.namespace:
            prefix = f"{named.name}."
            if not job.name.startswith(prefix) or job.name == prefix:
                yield f"its name does not begin with {prefix}, its parent's: it is drawn as {drawn.job.name}"
        if parent.parent is not None:
            root = parent.parent.get("root") or parent.parent
            if not facet.get("root"):
                yield "its parent was started by another run, and the parent facet has no root"
            elif _origin(facet["root"]) != _origin(root):
                yield "the root of its parent facet is not its parent's"
        if drawn.second is not None:
            yield f"its parent has a parent itself and is drawn under that; Marquez makes a second job {drawn.second}"

    def _of_symlinks(self, event: Mapping[str, Any]) -> Iterator[str]:
        for side in SIDES:
            for dataset in event.get(side) or ():
                primary, late = self._datasets.add(dataset)
                for name in late:
                    yield f"{name} is a dataset of its own already and becomes no symlink of {primary}"


def _of_lineage(event: Mapping[str, Any]) -> Iterator[str]:
    """Columns whose lineage is dropped: an end of it is no field that the same event's schemas name."""
    known = {identify(one): _fields(one) for one in event.get("inputs") or ()}
    for dataset in event.get("outputs") or ():
        facet = (dataset.get("facets") or {}).get("columnLineage")
        if not facet:
            continue
        own = _fields(dataset) or set()
        has_transformations = re.search(r"/1-0-\d+/", facet["_schemaURL"]) is None
        for column, lineage in facet["fields"].items():
            place = f"column lineage of {identify(dataset)}, {column}"
            if column not in own:
                yield f"{place}: the output's schema has no such field"
            for one in lineage["inputFields"]:
                source = identify(one)
                fields = known.get(source)
                if source not in known:
                    yield f"{place}: {source} is not among the inputs"
                elif fields is None:
                    yield f"{place}: the input {source} has no schema"
                elif one["field"] not in fields:
                    yield f"{place}: the schema of the input {source} has no field {one['field']}"
                if has_transformations and not one.get("transformations"):
                    yield f"{place}: {one['field']} of {source} has no transformations"
            for part in ("transformationType", "transformationDescription"):
                if lineage["inputFields"] and not lineage.get(part):
                    yield f"{place}: {part} is missing, which is all of it that Marquez keeps"


def _fields(dataset: Mapping[str, Any]) -> set[str] | None:
    schema = (dataset.get("facets") or {}).get("schema")
    return None if schema is None else {one["name"] for one in schema.get("fields") or ()}


def _shape(dataset: Mapping[str, Any]) -> dict[str, str | None]:
    facets = dataset.get("facets") or {}
    parts = {"schema": "fields", "lifecycleStateChange": "lifecycleStateChange", "dataSource": "name"}
    return {key: json.dumps(facets[key].get(part)) if key in facets else None for key, part in parts.items()}


def _of_job(event: Mapping[str, Any], key: str) -> dict[str, Any]:
    return (event["job"].get("facets") or {}).get(key) or {}


def _origin(parent: Mapping[str, Any]) -> tuple[str, Identity]:
    return parent["run"]["runId"], identify(parent["job"])


def _difference(now: frozenset[Identity], before: frozenset[Identity]) -> str:
    parts = [f"{sign}{name}" for sign, names in (("+ ", now - before), ("- ", before - now)) for name in sorted(names)]
    return ", ".join(parts)


def _is_version_7(text: str) -> bool:
    try:
        value = UUID(text)
    except ValueError:
        return False
    return value.version == 7 and value.variant == RFC_4122 and str(value) == text
