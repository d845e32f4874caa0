"""Why a Marquez server answers an event with an error, as far as one event alone tells.

Marquez binds the event to its classes (400 where that fails), validates them (422 where a part is missing) and writes
them to Postgres (500 where that fails). Where it would accept a name and then fail to show it, this is stricter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

UNREADABLE, INCOMPLETE, FAILED = 400, 422, 500

Refusal = tuple[int, str]

TYPES = ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)")
_URI = re.compile(r"""[A-Za-z][A-Za-z0-9+.-]*:[^\s"<>\\^`{|}]+""")
_NAMESPACE = re.compile(r"[a-zA-Z:;=/0-9_\-.@+]{1,1024}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

# What Marquez's own classes of facets mark as not null, beside `_producer` and `_schemaURL`; a dot goes down.
_NEEDED = {
    ("run", "nominalTime"): ("nominalStartTime",),
    ("run", "parent"): ("run.runId", "job.namespace", "job.name"),
    ("job", "documentation"): ("description",),
    ("job", "sql"): ("query",),
    ("job", "jobType"): ("jobType", "processingType", "integration"),
    ("dataset", "documentation"): ("description",),
    ("dataset", "dataSource"): ("name", "uri"),
}
_LISTS = {("dataset", "schema"): "fields", ("dataset", "symlinks"): "identifiers"}


def find_refusal(event: Any) -> Refusal | None:
    """The first reason to refuse an event, with its HTTP status; None for an event that is stored."""
    return next(_reasons(event), None)


def _reasons(event: Any) -> Iterator[Refusal]:
    if not isinstance(event, dict):
        yield UNREADABLE, "an event is a JSON object"
        return
    yield from _unstorable(event, "event")
    for key in ("eventTime", "producer"):
        if not _is_text(event.get(key)):
            yield INCOMPLETE, f"{key} is missing"
            return
    if not _is_time(event["eventTime"]):
        yield UNREADABLE, f"eventTime {event['eventTime']} is no time with a zone"
    if not _is_uri(event["producer"]):
        yield UNREADABLE, f"producer {event['producer']} is no URI"
    # Marquez tells run events from dataset and job events by this segment alone.
    if not str(event.get("schemaURL", "")).endswith("/RunEvent") or not _is_uri(event["schemaURL"]):
        yield UNREADABLE, f"the last segment of schemaURL {event.get('schemaURL')} is not /RunEvent"
    if event.get("eventType") is None:
        yield FAILED, "eventType is missing"
    elif event["eventType"] not in TYPES:
        yield UNREADABLE, f"eventType {event['eventType']} is none of {', '.join(TYPES)}"
    run, job = event.get("run"), event.get("job")
    if not isinstance(run, dict) or not _is_text(run.get("runId")):
        yield INCOMPLETE, "run.runId is missing"
        return
    yield from _identity(job, "job")
    yield from _facets(run.get("facets"), "run", "run.facets")
    yield from _facets(job.get("facets"), "job", "job.facets")
    for side, own in (("inputs", "inputFacets"), ("outputs", "outputFacets")):
        datasets = event.get(side)
        if datasets is not None and not isinstance(datasets, list):
            yield UNREADABLE, f"{side} is no list"
            return
        for number, dataset in enumerate(datasets or ()):
            where = f"{side}[{number}]"
            yield from _identity(dataset, where)
            yield from _facets(dataset.get("facets"), "dataset", f"{where}.facets")
            yield from _facets(dataset.get(own), own, f"{where}.{own}")


def _unstorable(value: Any, where: str) -> Iterator[Refusal]:
    """What Postgres takes into no JSONB column."""
    if isinstance(value, str):
        if "\0" in value:
            yield FAILED, f"{where} holds \\u0000, which Postgres refuses"
        if _SURROGATE.search(value):
            yield FAILED, f"{where} holds half a surrogate pair, which Postgres refuses"
    elif isinstance(value, float) and not math.isfinite(value):
        yield UNREADABLE, f"{where} is {value}, which is no JSON"
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _unstorable(key, f"a key of {where}")
            yield from _unstorable(one, f"{where}.{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _unstorable(one, f"{where}[{number}]")


def _identity(value: Any, where: str) -> Iterator[Refusal]:
    if not isinstance(value, dict):
        yield INCOMPLETE, f"{where} is missing"
        return
    namespace, name = value.get("namespace"), value.get("name")
    if not _is_text(namespace):
        yield INCOMPLETE, f"{where}.namespace is missing"
    if not _is_text(name):
        yield INCOMPLETE, f"{where}.name is missing"
    if _is_text(namespace):
        yield from _namespace(namespace, where)
    if _is_text(name):
        # A node of the graph is `dataset:namespace:name#version`, which Marquez takes apart at these characters.
        for character in ":#":
            if character in name:
                yield UNREADABLE, f"{where}.name {name} holds {character}"
        if name[0].isdigit():
            yield UNREADABLE, f"{where}.name {name} starts with a digit"


def _namespace(namespace: str, where: str) -> Iterator[Refusal]:
    if not _NAMESPACE.fullmatch(namespace):
        yield UNREADABLE, f"{where}.namespace {namespace} does not match {_NAMESPACE.pattern}"
    # These Marquez stores as `_`, and two namespaces become one.
    for character in ";=":
        if character in namespace:
            yield UNREADABLE, f"{where}.namespace {namespace} holds {character}"


def _facets(facets: Any, kind: str, where: str) -> Iterator[Refusal]:
    if facets is None:
        return
    if not isinstance(facets, dict):
        yield UNREADABLE, f"{where} is no object"
        return
    for key, facet in facets.items():
        if not isinstance(facet, dict):
            yield UNREADABLE, f"{where}.{key} is no object"
            continue
        for part in ("_producer", "_schemaURL"):
            if not _is_text(facet.get(part)):
                yield INCOMPLETE, f"{where}.{key}.{part} is missing"
            elif not _is_uri(facet[part]):
                yield UNREADABLE, f"{where}.{key}.{part} {facet[part]} is no URI"
        for path in _NEEDED.get((kind, key), ()):
            if not _is_text(_at(facet, path)):
                yield INCOMPLETE, f"{where}.{key}.{path} is missing"
        yield from _parts(facet, kind, key, f"{where}.{key}")


def _parts(facet: dict[str, Any], kind: str, key: str, where: str) -> Iterator[Refusal]:
    if (kind, key) == ("run", "parent"):
        yield from _identity(facet.get("job"), f"{where}.job")
        for owner, part in (("run", "run"), ("job", "job")):
            inner = facet.get(part)
            if isinstance(inner, dict):
                yield from _facets(inner.get("facets"), owner, f"{where}.{part}.facets")
        if facet.get("root") is not None:
            if not _is_text(_at(facet, "root.run.runId")):
                yield INCOMPLETE, f"{where}.root.run.runId is missing"
            yield from _identity(_at(facet, "root.job"), f"{where}.root.job")
    elif (kind, key) in _LISTS and not isinstance(facet.get(_LISTS[kind, key]), list | None):
        yield UNREADABLE, f"{where}.{_LISTS[kind, key]} is no list"
    elif (kind, key) == ("dataset", "schema"):
        for number, one in enumerate(facet.get("fields") or ()):
            if not isinstance(one, dict) or not _is_text(one.get("name")):
                yield INCOMPLETE, f"{where}.fields[{number}].name is missing"
    elif (kind, key) == ("dataset", "symlinks"):
        for number, one in enumerate(facet.get("identifiers") or ()):
            yield from _identity(one, f"{where}.identifiers[{number}]")
    elif (kind, key) == ("dataset", "columnLineage"):
        columns = facet.get("fields")
        if not isinstance(columns, dict):
            yield INCOMPLETE, f"{where}.fields is missing"
            return
        for column, lineage in columns.items():
            inputs = lineage.get("inputFields") if isinstance(lineage, dict) else None
            if not isinstance(inputs, list):
                yield INCOMPLETE, f"{where}.fields.{column}.inputFields is missing"
            for number, one in enumerate(inputs or ()):
                place = f"{where}.fields.{column}.inputFields[{number}]"
                yield from _identity(one, place)
                if isinstance(one, dict) and not _is_text(one.get("field")):
                    yield INCOMPLETE, f"{place}.field is missing"


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_time(value: str) -> bool:
    with suppress(ValueError):
        return _TIME.fullmatch(value) is not None and datetime.fromisoformat(value) is not None
    return False


def _is_uri(value: Any) -> bool:
    return isinstance(value, str) and _URI.fullmatch(value) is not None
