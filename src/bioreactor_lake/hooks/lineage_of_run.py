"""The lineage of one run, as its hooks see it go by."""

from __future__ import annotations

import inspect
import logging
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from bioreactor_lake import __version__
from bioreactor_lake.datasets.attempts import is_interrupted
from bioreactor_lake.errors import NothingToIngest, find_lake_error
from bioreactor_lake.hooks.dataset_facts import DatasetFacts
from bioreactor_lake.hooks.dataset_names import DatasetNames
from bioreactor_lake.hooks.exposures import as_input, describe_exposure
from bioreactor_lake.hooks.homes import home_of
from bioreactor_lake.lake.runs import Run, WriteReport, current_run
from bioreactor_lake.lineage.delivery.configuration import read_configuration
from bioreactor_lake.lineage.delivery.emitter import Emitter, EmitterConfig
from bioreactor_lake.lineage.events import (
    DatasetUse,
    JobDescription,
    RunEvents,
    error_facet,
    node_job,
    pipeline_job,
)
from bioreactor_lake.lineage.facets import Facets, facet, ownership_facet, tags_facet
from bioreactor_lake.lineage.redaction import find_secrets, redact
from bioreactor_lake.lineage.settings import LineageSettings
from bioreactor_lake.lineage.source_code import find_checkout
from bioreactor_lake.lineage.started_by import find_starter

logger = logging.getLogger(__name__)

_LONGEST_TRACE = 20_000


def read_settings(context: KedroContext) -> LineageSettings:
    """The configuration of lineage.

    Raises:
        UsageError: It says what means nothing.
    """
    return LineageSettings.from_config(read_configuration(context.config_loader))


class LineageOfRun:
    """Follows the nodes of one run and emits their events.

    Args:
        settings: The configuration.
        context: Kedro's context.
        catalog: The catalog of the run.
        pipeline: The nodes of the run.
        asked: The name of what was asked for, such as `__default__`.
    """

    def __init__(
        self,
        settings: LineageSettings,
        context: KedroContext,
        catalog: CatalogProtocol[Any, Any],
        pipeline: Pipeline,
        asked: str,
    ) -> None:
        self._settings, self._context, self._catalog = settings, context, catalog
        self._lake_run = current_run() or Run()
        names = DatasetNames(catalog, pipeline.datasets(), settings.postgres_hosts)
        self._facts = DatasetFacts(names, settings, is_full_refresh=self._lake_run.full_refresh)
        self._checkout = find_checkout(Path(context.project_path), url=settings.repository, commit=settings.commit)
        config: EmitterConfig = {
            "file": settings.file,
            "transport": dict(settings.transport),
            "seconds": settings.seconds,
        }
        self._emitter = Emitter(config, Path(context.project_path))
        homes = {node.name: home_of(node, asked) for node in pipeline.nodes}
        self._events = RunEvents(
            self._emitter.emit,
            namespace=settings.namespace,
            whole=self._describe_pipeline(asked),
            pipelines={name: self._describe_pipeline(name) for name in {*homes.values()}},
            nodes=homes,
            run_id=self._lake_run.run_id,
            started_at=self._lake_run.started_at,
            starter=find_starter(os.environ),
            facets=facet(
                "processing_engine",
                {"name": "DuckDB", "version": duckdb.__version__, "openlineageAdapterVersion": __version__},
            ),
        )
        self._node: Node | None = None
        self._begun_at = self._lake_run.started_at
        self._inputs: list[DatasetUse] = []
        self._saved: dict[str, list[DatasetUse]] = {}
        self._reports: list[WriteReport] = []
        self._read_marts: dict[str, DatasetUse] = {}

    def begin_node(self, node: Node) -> None:
        """A node is about to load its inputs."""
        if self._node is not node:
            self._node, self._begun_at = node, datetime.now(UTC)
            self._inputs, self._saved, self._reports = [], {}, []

    def take_inputs(self, node: Node, inputs: Mapping[str, Any]) -> None:
        """A node has its inputs. If its outputs' columns are known by now, it can be said to have begun."""
        self.begin_node(node)
        outputs = [use for name in node.outputs for use in self._facts.output(name, None)]
        if outputs and all("schema" in use.facets for use in outputs):
            self._start(node, inputs, {})

    def take_outputs(self, node: Node, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """A node has returned its expressions."""
        if not self._events.is_in_node:
            self._start(node, inputs, outputs)
        if not node.outputs:
            self._events.end_node("COMPLETE")

    def take_saved(self, node: Node, name: str, data: Any) -> None:
        """An output of a node is saved; with the last one, the node is complete."""
        table = getattr(self._catalog[name], "qualified_name", None)
        report = next((one for one in reversed(self._lake_run.writes) if one.table == table), None)
        if report is not None:
            self._reports.append(report)
        uses = self._facts.written(name, data, report, is_whole=not self._lake_run.batches)
        self._saved[name] = uses
        self._read_marts |= {key: use for use in uses for key in (name, table) if key is not None}
        if set(self._saved) >= set(node.outputs):
            inputs = self._facts.with_statistics(self._inputs, self._reports, self._lake_run.checks)
            outputs = [use for one in node.outputs for use in self._saved[one]]
            self._events.end_node("COMPLETE", inputs=inputs, outputs=outputs)
            self._node = None

    def complete(self) -> None:
        """All nodes have ended, and whoever reads what they wrote has news."""
        for exposure in self._settings.exposures:
            if reads := [self._read_marts[name] for name in exposure.reads if name in self._read_marts]:
                inputs = self._facts.with_statistics([as_input(use) for use in reads], [], self._lake_run.checks)
                self._events.consume(describe_exposure(exposure), inputs)
        self._events.end("COMPLETE")

    def fail(self, error: BaseException) -> None:
        """The run has ended with an error: of a node, or with nothing to do, or because a signal came."""
        known = find_lake_error(error)
        pipeline = self._events.pipeline_of(self._node.name) if self._node is not None else None
        self._start_late()
        if is_interrupted(error):
            self._events.end("ABORT")
            return
        if isinstance(known, NothingToIngest):
            # The node made nothing, and the run did all that there was to do.
            if self._events.is_in_node:
                self._events.end_node("ABORT")
            self._events.end("COMPLETE")
            return
        said = self._explain(known or error, error)
        self._events.end("FAIL", said, failed=pipeline)

    def close(self) -> None:
        """Give servers a moment to take the events, and tell the run's user of those that are still to be sent."""
        self._lake_run.notices += self._emitter.close()

    def _start(self, node: Node, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        self._inputs = self._facts.inputs(node.inputs, inputs, outputs)
        written = [use for name in node.outputs for use in self._facts.output(name, outputs.get(name))]
        job = self._describe_node(node, outputs)
        self._events.start_node(node.name, job, self._inputs, written, self._begun_at)

    def _start_late(self) -> None:
        """A node that never came to its expressions has begun all the same."""
        if self._node is None or self._events.is_in_node:
            return
        try:
            self._start(self._node, {}, {})
        except Exception as error:
            # The run ends all the same, and so does its lineage.
            logger.warning("Lineage does not tell of %s: %s", self._node.name, error)

    def _describe_node(self, node: Node, outputs: Mapping[str, Any]) -> JobDescription:
        function = inspect.unwrap(node.func)
        text = (inspect.getdoc(function) or "").partition("\n\n")[0]
        documentation = facet("documentation", {"description": " ".join(text.split())}, of_job=True) if text else {}
        sql = [said for name, data in outputs.items() if (said := self._facts.sql(data, name))]
        return node_job(
            self._events.pipeline_of(node.name),
            node.name,
            documentation,
            tags_facet(dict.fromkeys(sorted(node.tags), "true"), of_job=True) if node.tags else {},
            ownership_facet(self._settings.owners, of_job=True),
            self._locate(function),
            sql[0] if sql else {},
        )

    def _describe_pipeline(self, name: str) -> JobDescription:
        documentation = facet("documentation", {"description": f"The Kedro pipeline {name}."}, of_job=True)
        return pipeline_job(name, documentation, ownership_facet(self._settings.owners, of_job=True))

    def _locate(self, function: Any) -> Facets:
        try:
            return self._checkout.locate(Path(inspect.getfile(function)).resolve())
        except TypeError:
            # What is written in C has no file.
            return {}

    def _explain(self, known: BaseException, error: BaseException) -> Facets:
        secrets = find_secrets(os.environ, self._credentials())
        message = str(known) if known is not error or str(known) else type(known).__name__
        trace = "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]
        return error_facet(redact(message, secrets), redact(trace, secrets))

    def _credentials(self) -> Any:
        try:
            return self._context.config_loader["credentials"]
        except (MissingConfigException, ValueError):
            return {}
