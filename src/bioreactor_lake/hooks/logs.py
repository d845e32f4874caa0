"""The log of every run: the run's id in each line, the file with the SQL, and a bar for what takes its time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.lake.runs import Run, current_run
from bioreactor_lake.lineage.redaction import find_secrets
from bioreactor_lake.logs import progress
from bioreactor_lake.logs.handlers import open_file, set_up_console


class LogHooks:
    """Sets the log up as soon as Kedro is, and follows the nodes."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._unsaved: set[str] = set()

    @hook_impl
    def after_context_created(self) -> None:
        """What is said from now on has the run's id."""
        set_up_console()

    @hook_impl
    def after_catalog_created(self, conf_creds: dict[str, Any]) -> None:
        """What is secret is known now."""
        set_up_console(find_secrets(os.environ, conf_creds))

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]) -> None:
        """The run begins, and with it the file."""
        self._end_node()
        self._run = None
        open_file(Path(run_params["project_path"]), catalog.load("params:log"))

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """A node begins, with the first of its inputs."""
        self._begin_node(node)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Its inputs are there, if it has any."""
        self._begin_node(node)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """With its last output the node is done."""
        self._unsaved.discard(dataset_name)
        if not self._unsaved:
            self._end_node()

    def _begin_node(self, node: Node) -> None:
        run = current_run()
        if run is None or run.node == node.name:
            return
        self._end_node()
        if run is not self._run:
            # Also where a signal ends it, of which no hook is told.
            run.when_ended.insert(0, lambda error: self._end_node())
        self._run, self._unsaved = run, set(node.outputs)
        run.node, run.node_began_at = node.name, time.perf_counter()
        progress.begin(node.name, warehouse.share_done)

    def _end_node(self) -> None:
        if self._run is not None and self._run.node:
            self._run.node, self._run.node_began_at = "", None
            progress.end()
