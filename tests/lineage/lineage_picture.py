"""What Marquez draws of stored events: its graph of jobs and datasets, fields, and the lineage of columns.

Where Marquez is lenient by chance, the picture is not: a side that the last event of a run leaves out is not drawn,
though Marquez may remember it from an earlier one, and column lineage needs both its ends in the same event.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from marquez_names import DatasetNames, Identity, JobNames, find_parent, identify

Column = tuple[Identity, str]
Name = tuple[str, str]

STATES = {"COMPLETE": "COMPLETED", "FAIL": "FAILED", "ABORT": "ABORTED"}


@dataclass
class Job:
    """A job of the graph.

    Args:
        parent: The job that it is shown under.
        is_made_up: Whether no event is of it: Marquez made it for the parent facet of another one.
        runs: Its runs in order.
        sides: The datasets that edges lead from and to, as the latest run that ended had them.
    """

    parent: Identity | None = None
    is_made_up: bool = True
    runs: list[str] = field(default_factory=list)
    sides: dict[str, set[Identity]] = field(default_factory=lambda: {"inputs": set(), "outputs": set()})


@dataclass
class Run:
    """A run, with the datasets of all of its events."""

    job: Identity
    parent: str | None
    state: str = "RUNNING"
    sides: dict[str, set[Identity]] = field(default_factory=lambda: {"inputs": set(), "outputs": set()})


@dataclass
class Dataset:
    """A dataset of the graph.

    Args:
        fields: Type by field name, of the current version.
        twice: Fields that the current version has under two types, and so twice.
        versions: The run that made each version, and what sets it apart within that run.
    """

    fields: dict[str, str | None] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)
    versions: dict[tuple[str | None, str], None] = field(default_factory=dict)


class Picture:
    """Marquez's graph after some events, in the order in which they arrived."""

    def __init__(self, events: Iterable[Mapping[str, Any]]) -> None:
        self.jobs: dict[Identity, Job] = {}
        self.runs: dict[str, Run] = {}
        self.datasets: dict[Identity, Dataset] = {}
        self.column_edges: dict[Column, set[Column]] = defaultdict(set)
        self._job_names, self._dataset_names = JobNames(), DatasetNames()
        for event in events:
            self._add(event)

    @property
    def edges(self) -> set[tuple[Identity, Identity]]:
        """From datasets to the jobs that read them, and from jobs to the datasets that they write."""
        found = {(name, job) for job, one in self.jobs.items() for name in one.sides["inputs"]}
        return found | {(job, name) for job, one in self.jobs.items() for name in one.sides["outputs"]}

    def upstream(self, dataset: Name) -> set[Identity]:
        """All datasets that a dataset (or job) is made of, over any number of jobs."""
        return self._reach(dataset, {(target, source) for source, target in self.edges}) & self.datasets.keys()

    def downstream(self, dataset: Name) -> set[Identity]:
        """All datasets that a dataset (or job) goes into, over any number of jobs."""
        return self._reach(dataset, self.edges) & self.datasets.keys()

    def is_connected(self, source: Name, target: Name) -> bool:
        """Whether edges lead from one dataset or job to another."""
        return self._node(target) in self._reach(source, self.edges)

    def column_sources(self, dataset: Name, column: str) -> set[Column]:
        """The columns that a column comes from in the end; none where Marquez stored no lineage of it."""
        start = (self._node(dataset), column)
        leaves, seen, left = set(), {start}, [start]
        while left:
            for one in self.column_edges.get(left.pop(), ()):
                if one not in seen:
                    seen.add(one)
                    left.append(one)
                    if not self.column_edges.get(one):
                        leaves.add(one)
        return leaves

    def fields(self, dataset: Name) -> dict[str, str | None]:
        """Type by field name, of the dataset's current version."""
        return self.datasets[self._node(dataset)].fields

    def versions(self, dataset: Name, run: str) -> list[str]:
        """The versions of a dataset that a run made, as what sets them apart; one where nothing is doubled."""
        known = self.datasets[self._node(dataset)].versions
        return [shape for maker, shape in known if maker == run]

    def duplicates(self) -> list[set[Identity]]:
        """Datasets that differ only in how their namespace or name is spelled."""
        spelled: dict[tuple[str, ...], set[Identity]] = defaultdict(set)
        for name in self.datasets:
            spelled[tuple(_plain(part) for part in name)].add(name)
        return [names for names in spelled.values() if len(names) > 1]

    def _add(self, event: Mapping[str, Any]) -> None:
        drawn, run_id = self._job_names.draw(event), event["run"]["runId"]
        if drawn.parent is not None:
            self.jobs.setdefault(drawn.parent, Job())
        job = self.jobs.setdefault(drawn.job, Job())
        job.is_made_up, job.parent = False, drawn.parent
        facet = find_parent(event)
        run = self.runs.setdefault(run_id, Run(drawn.job, facet["run"]["runId"] if facet else None))
        run.state = STATES.get(event["eventType"], "RUNNING")
        if run_id not in job.runs:
            job.runs.append(run_id)
        for side in ("inputs", "outputs"):
            named = {self._dataset_names.add(one)[0] for one in event.get(side) or ()}
            run.sides[side] |= named
            if not named:
                job.sides[side] = set()
            elif event["eventType"] in STATES:
                job.sides[side] = set(run.sides[side])
        for one in event.get("inputs") or ():
            self._read(one)
        for one in event.get("outputs") or ():
            self._write(one, run_id)
            self._trace(one, event)

    def _read(self, value: Mapping[str, Any]) -> None:
        """An input adds the fields of its schema to the current version, and takes none away."""
        dataset = self.datasets.setdefault(self._dataset_names.find(identify(value)), Dataset())
        if not dataset.versions:
            dataset.versions[None, "read"] = None
        for name, kind in _types(value).items():
            if dataset.fields.setdefault(name, kind) != kind:
                dataset.twice.add(name)

    def _write(self, value: Mapping[str, Any], run_id: str) -> None:
        """An output is a version of its own by schema, lifecycle state, source and run; without a schema it is bare."""
        dataset = self.datasets.setdefault(self._dataset_names.find(identify(value)), Dataset())
        facets = value.get("facets") or {}
        parts = [
            (facets.get("schema") or {}).get("fields"),
            (facets.get("lifecycleStateChange") or {}).get("lifecycleStateChange"),
            (facets.get("dataSource") or {}).get("name"),
        ]
        version = (run_id, json.dumps(parts))
        if version not in dataset.versions or version != list(dataset.versions)[-1]:
            dataset.versions.pop(version, None)
            dataset.versions[version] = None
            dataset.fields, dataset.twice = _types(value), set()

    def _trace(self, value: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Lineage of a column joins on the names that datasets are stored under, and on fields of their schemas."""
        output, own = self._dataset_names.find(identify(value)), _types(value)
        known = {identify(one): _types(one) for one in event.get("inputs") or ()}
        columns = ((value.get("facets") or {}).get("columnLineage") or {}).get("fields") or {}
        for column, traced in columns.items():
            for one in traced["inputFields"]:
                source = identify(one)
                is_stored = column in own and one["field"] in known.get(source, {})
                if is_stored and self._dataset_names.find(source) == source:
                    self.column_edges[output, column].add((source, one["field"]))

    def _node(self, name: Name) -> Identity:
        node = self._dataset_names.find(Identity(*name))
        if node not in self.datasets and node not in self.jobs:
            raise KeyError(f"{node} is neither a dataset nor a job: {sorted({*self.datasets, *self.jobs})}")
        return node

    def _reach(self, name: Name, edges: set[tuple[Identity, Identity]]) -> set[Identity]:
        onward: dict[Identity, set[Identity]] = defaultdict(set)
        for source, target in edges:
            onward[source].add(target)
        found: set[Identity] = set()
        left = [self._node(name)]
        while left:
            new = onward[left.pop()] - found
            found |= new
            left.extend(new)
        return found


def _types(dataset: Mapping[str, Any]) -> dict[str, str | None]:
    facet = (dataset.get("facets") or {}).get("schema") or {}
    return {one["name"]: one.get("type") for one in facet.get("fields") or ()}


def _plain(text: str) -> str:
    """A namespace or name without what is a matter of spelling."""
    scheme, _, rest = text.casefold().rpartition("://")
    rest = re.sub(r"/+", "/", rest)
    rest = re.sub(r"(^|/)(\./)+", r"\1", rest)
    return f"{scheme}{'://' if scheme else ''}{rest}".rstrip("/:")
