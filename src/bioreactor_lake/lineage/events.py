"""The events of one run: its pipelines and nodes, from START to COMPLETE, FAIL or ABORT.

Jobs have two levels. A node's job is `<pipeline>.<node>`, and its parent the job of that pipeline, however the run was
put together: Marquez puts a parent's name before that of its children, so a node that now and then had another parent
would be two jobs there. The run itself is a job of its own where it is more than one pipeline; every node names it as
its root.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from bioreactor_lake.lake.runs import new_run_id
from bioreactor_lake.lineage.facets import PRODUCER, Facets, facet, job_type_facet, nominal_time_facet
from bioreactor_lake.lineage.naming import DatasetName
from bioreactor_lake.lineage.started_by import JobRun, Starter

_EVENT_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"

Outcome = Literal["COMPLETE", "FAIL", "ABORT"]


@dataclass(frozen=True)
class DatasetUse:
    """A dataset as an input or output of a job.

    Args:
        dataset: Its name.
        facets: What is known of it.
        statistics: What was read or written of it; a facet of this use.
    """

    dataset: DatasetName
    facets: Facets = field(default_factory=dict)
    statistics: Facets = field(default_factory=dict)


@dataclass(frozen=True)
class JobDescription:
    """What is said of a job, the same in all of its events.

    Args:
        name: Its name.
        facets: Its facets.
    """

    name: str
    facets: Facets


@dataclass
class _Begun:
    job: JobDescription
    run_id: str
    at: datetime
    facets: Facets
    inputs: Sequence[DatasetUse] = ()
    outputs: Sequence[DatasetUse] = ()


class RunEvents:
    """Emits the events of one run, in the order in which servers want them.

    Args:
        emit: Takes an event.
        namespace: The namespace of all jobs.
        whole: The job of the run as a whole; its name may be that of a pipeline.
        pipelines: The jobs of pipelines by name.
        nodes: Node name to the name of its pipeline, for all nodes of the run.
        run_id: The run's own id.
        started_at: Its start.
        starter: Who started it.
        facets: Run facets that all events have, such as the engine.
    """

    def __init__(
        self,
        emit: Callable[[dict[str, Any]], None],
        *,
        namespace: str,
        whole: JobDescription,
        pipelines: Mapping[str, JobDescription],
        nodes: Mapping[str, str],
        run_id: str,
        started_at: datetime,
        starter: Starter,
        facets: Facets,
    ) -> None:
        self._emit, self._namespace, self._starter = emit, namespace, starter
        self._pipelines, self._waiting = pipelines, dict(nodes)
        self._facets = {**facets, **nominal_time_facet(starter.nominal_time)}
        above = _parent_facet(starter.parent, starter.root)
        self._whole = _Begun(whole, run_id, started_at, {**self._facets, **above})
        self._above = above
        self._open: dict[str, _Begun] = {}
        self._node: _Begun | None = None
        self._node_name = ""
        self._send("START", self._whole)
        if whole.name in pipelines:
            self._open[whole.name] = self._whole

    def start_node(
        self,
        name: str,
        job: JobDescription,
        inputs: Sequence[DatasetUse],
        outputs: Sequence[DatasetUse],
        at: datetime,
    ) -> None:
        """A node begins.

        Args:
            name: The node.
            job: Its job.
            inputs: What it reads.
            outputs: What it writes, with a schema only if it is the one that it will have.
            at: When it began.
        """
        pipeline = self._waiting[name]
        if pipeline not in self._open:
            begun = _Begun(self._pipelines[pipeline], str(new_run_id()), at, {**self._facets, **self._above})
            self._open[pipeline] = begun
            self._send("START", begun)
        parent = self._open[pipeline]
        is_whole = parent is self._whole
        root = self._starter.root or (None if is_whole else self._as_run(self._whole))
        facets = {**self._facets, **_parent_facet(self._as_run(parent), root)}
        self._node_name, self._node = name, _Begun(job, str(new_run_id()), at, facets, inputs, outputs)
        self._send("START", self._node)

    @property
    def is_in_node(self) -> bool:
        """Whether a node has begun and not ended."""
        return self._node is not None

    def end_node(
        self,
        outcome: Outcome,
        *,
        inputs: Sequence[DatasetUse] | None = None,
        outputs: Sequence[DatasetUse] | None = None,
        error: Facets | None = None,
    ) -> None:
        """The node that began last has ended.

        Args:
            outcome: How.
            inputs: What it read, if more is known by now.
            outputs: What it wrote, likewise.
            error: The facet of its error.
        """
        node, self._node = self._node, None
        assert node is not None
        if inputs is not None:
            node.inputs = inputs
        if outputs is not None:
            node.outputs = outputs
        self._send(outcome, node, error)
        pipeline = self._waiting.pop(self._node_name)
        if pipeline not in self._waiting.values() and outcome == "COMPLETE":
            self._end_pipeline(pipeline, "COMPLETE", None)

    def end(self, outcome: Outcome, error: Facets | None = None, *, failed: str | None = None) -> None:
        """The run has ended, and with it what is still open.

        Args:
            outcome: How.
            error: The facet of its error.
            failed: The pipeline that made it fail; others that are open are aborted.
        """
        if self._node is not None:
            self.end_node(outcome, error=error)
        for pipeline in list(self._open):
            mine = outcome if outcome != "FAIL" or failed in (None, pipeline) else "ABORT"
            self._end_pipeline(pipeline, mine, error if mine == outcome else None)
        self._send(outcome, self._whole, error)

    def pipeline_of(self, node: str) -> str:
        """The pipeline of a node that has not ended."""
        return self._waiting[node]

    def consume(self, job: JobDescription, inputs: Sequence[DatasetUse]) -> None:
        """Tell of a job outside of the run that reads what the run has written, such as a dashboard.

        Args:
            job: The job.
            inputs: What it reads.
        """
        begun = _Begun(job, str(new_run_id()), datetime.now(UTC), {}, inputs)
        self._send("START", begun)
        self._send("COMPLETE", begun)

    def _end_pipeline(self, pipeline: str, outcome: Outcome, error: Facets | None) -> None:
        begun = self._open.pop(pipeline)
        if begun is not self._whole:
            self._send(outcome, begun, error)

    def _as_run(self, begun: _Begun) -> JobRun:
        return JobRun(self._namespace, begun.job.name, begun.run_id)

    def _send(self, kind: str, begun: _Begun, error: Facets | None = None) -> None:
        at = begun.at if kind == "START" else max(begun.at, datetime.now(UTC))
        self._emit(
            {
                "eventType": kind,
                "eventTime": at.isoformat(timespec="microseconds"),
                "producer": PRODUCER,
                "schemaURL": _EVENT_SCHEMA,
                "run": {"runId": begun.run_id, "facets": {**begun.facets, **(error or {})}},
                "job": {"namespace": self._namespace, "name": begun.job.name, "facets": begun.job.facets},
                "inputs": [_use(one, "inputFacets") for one in begun.inputs],
                "outputs": [_use(one, "outputFacets") for one in begun.outputs],
            }
        )


def error_facet(message: str, stack_trace: str = "") -> Facets:
    """What an error says.

    Args:
        message: For people.
        stack_trace: Where it happened.
    """
    return facet(
        "errorMessage", {"message": message, "programmingLanguage": "PYTHON", "stackTrace": stack_trace or None}
    )


def pipeline_job(name: str, *facets: Facets) -> JobDescription:
    """The job of a pipeline or of a whole run."""
    return JobDescription(name, _merged(job_type_facet("DAG"), *facets))


def node_job(pipeline: str, node: str, *facets: Facets) -> JobDescription:
    """The job of a node."""
    return JobDescription(f"{pipeline}.{node}", _merged(job_type_facet("TASK"), *facets))


def _merged(*facets: Facets) -> Facets:
    return {key: value for one in facets for key, value in one.items()}


def _parent_facet(parent: JobRun | None, root: JobRun | None) -> Facets:
    if parent is None:
        return {}
    return facet("parent", {**_refer_to(parent), "root": None if root is None else _refer_to(root)})


def _refer_to(run: JobRun) -> dict[str, Any]:
    return {"run": {"runId": run.run_id}, "job": {"namespace": run.namespace, "name": run.job}}


def _use(one: DatasetUse, key: str) -> dict[str, Any]:
    name = one.dataset
    kind = facet("datasetType", {"datasetType": name.kind})
    identifiers = [
        {"namespace": space, "name": alias, "type": "LOCATION" if name.kind == "FILE" else "TABLE"}
        for space, alias in name.aliases
    ]
    symlinks = facet("symlinks", {"identifiers": identifiers}) if identifiers else {}
    facets = {**kind, **symlinks, **one.facets}
    used = {key: one.statistics} if one.statistics else {}
    return {"namespace": name.namespace, "name": name.name, "facets": facets, **used}
