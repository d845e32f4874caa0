"""Lineage of every run: tells OpenLineage what each node reads and writes, and never stands in a run's way."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from bioreactor_lake.lake.runs import current_run

if TYPE_CHECKING:
    from bioreactor_lake.hooks.lineage_of_run import LineageOfRun

logger = logging.getLogger(__name__)


class LineageHooks:
    """Emits OpenLineage events: START when a node begins, COMPLETE once its outputs are saved, or FAIL or ABORT.

    A node's START is sent as soon as the columns of its output are known, which is when its function has returned the
    expression and before any row is computed: servers take a dataset whose columns differ within a run for two.

    With `OPENLINEAGE_DISABLED=true` nothing is imported and nothing is done.
    """

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._run: LineageOfRun | None = None
        self._begin: Callable[[], LineageOfRun] | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the configuration is."""
        self._context = None
        if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() != "true":
            self._context = context

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Get ready. Nothing is told before the first node begins: until then the run may be refused.

        Raises:
            UsageError: `openlineage.yml` says what means nothing.
        """
        # One that was interrupted in a notebook was never ended.
        self._end(KeyboardInterrupt())
        self._begin = None
        if self._context is None:
            return
        from bioreactor_lake.hooks.exposures import confirm_exposures
        from bioreactor_lake.hooks.lineage_of_run import LineageOfRun, read_settings

        context, settings = self._context, read_settings(self._context)
        confirm_exposures(settings, catalog)
        asked = run_params.get("pipeline_names") or [run_params.get("pipeline_name") or "__default__"]
        self._begin = lambda: LineageOfRun(settings, context, catalog, pipeline, "+".join(asked))

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """A node begins, with the first of its inputs."""
        self._tell(lambda run: run.begin_node(node))

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        """Its inputs are there."""
        self._tell(lambda run: run.take_inputs(node, inputs))

    @hook_impl
    def after_node_run(self, node: Node, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Its expressions are there; no row is computed yet."""
        self._tell(lambda run: run.take_outputs(node, inputs, outputs))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """One of its outputs is saved."""
        self._tell(lambda run: run.take_saved(node, dataset_name, data))

    def _tell(self, what: Callable[[LineageOfRun], None]) -> None:
        """Do one thing about lineage; whatever goes wrong with it is said and the run goes on."""
        try:
            if self._run is None and self._begin is not None and (run := current_run()) is not None:
                begin, self._begin = self._begin, None
                self._run = begin()
                run.when_ended.append(self._end)
            if self._run is not None:
                what(self._run)
        except Exception as error:
            logger.warning("Lineage is incomplete for this run: %s: %s", type(error).__name__, error)
            logger.debug("What happened to lineage", exc_info=True)

    def _end(self, error: BaseException | None) -> None:
        self._tell(lambda run: run.complete() if error is None else run.fail(error))
        self._tell(lambda run: run.close())
        self._run = None
