"""The history of every run: who asked for what, what became of each node, and how it ended. It never fails a run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from bioreactor_lake.lake.runs import Run, current_run

if TYPE_CHECKING:
    from bioreactor_lake.hooks.history_of_run import HistoryOfRun

logger = logging.getLogger(__name__)


class HistoryHooks:
    """Follows the nodes of a run, and adds it to the history when the run says that it has ended."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._credentials: Any = None
        self._parameters: dict[str, Any] = {}
        self._begin: Callable[[Run], HistoryOfRun] | None = None
        self._history: HistoryOfRun | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project is."""
        self._context = context

    @hook_impl
    def after_catalog_created(self, conf_creds: dict[str, Any], parameters: dict[str, Any]) -> None:
        """Remember what is secret, and the parameters that are in force."""
        self._credentials, self._parameters = conf_creds, parameters.get("parameters") or {}

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """The run begins, or will with its first node where nobody has said yet which run it is."""
        # One that was interrupted in a notebook was never ended.
        self._end(KeyboardInterrupt())
        context, secret, parameters = self._context, self._credentials, self._parameters

        def begin(run: Run) -> HistoryOfRun:
            from bioreactor_lake.hooks.history_of_run import HistoryOfRun, describe_run

            record = describe_run(run, run_params, parameters, context, secret)
            return HistoryOfRun(run, record, pipeline, catalog, secret)

        self._begin = begin
        run = current_run()
        # In a notebook that of an interrupted run may still be there, with its catalog.
        if run is not None and run.catalog is None:
            self._tell(lambda history: None)

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """A node begins, with the first of its inputs."""
        self._tell(lambda history: history.begin_node(node))

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Its inputs are there, if it has any."""
        self._tell(lambda history: history.begin_node(node))

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """It has returned; one without outputs is complete."""
        self._tell(lambda history: history.complete_node(node, None))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """One of its outputs is saved; with the last one it is complete."""
        self._tell(lambda history: history.complete_node(node, dataset_name))

    def _tell(self, what: Callable[[HistoryOfRun], None]) -> None:
        """Follow the run; whatever goes wrong with that is said and the run goes on."""
        try:
            if self._history is None and self._begin is not None and (run := current_run()) is not None:
                begin, self._begin = self._begin, None
                self._history = begin(run)
                run.when_ended.append(self._end)
            if self._history is not None:
                what(self._history)
        except Exception as error:
            logger.warning("The history of this run is incomplete: %s: %s", type(error).__name__, error)
            logger.debug("What happened to the history", exc_info=True)

    def _end(self, error: BaseException | None) -> None:
        history, self._begin = self._history, None
        try:
            if history is not None:
                history.end(error)
        except Exception as fault:
            logger.warning("The history of this run is incomplete: %s: %s", type(fault).__name__, fault)
        finally:
            self._history = None
