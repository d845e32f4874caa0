"""What holds for every run, however it was started."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from bioreactor_lake.datasets import MANIFEST, warehouse
from bioreactor_lake.datasets.attempts import forget_failure, record_failures
from bioreactor_lake.datasets.named_batches import confirm_batches
from bioreactor_lake.errors import UsageError
from bioreactor_lake.lake.retries import RetryRules
from bioreactor_lake.lake.runs import Run, running
from bioreactor_lake.lineage.started_by import is_scheduled


class RunHooks:
    """Refuses what DuckDB cannot do, marks the time in which the warehouse may be written, and closes it afterwards.

    Which table a run is about to write is followed, so that a failure is kept with the table that it befell.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._run = Run()
        self._unsaved: list[str] = []
        self._retries = RetryRules()

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Check the runner and begin the run.

        Raises:
            UsageError: The runner would use one DuckDB connection from several threads or processes, the run names
                a batch that no accepted raw file holds, or the rules of retries mean nothing.
        """
        runner = run_params["runner"]
        if runner != "None" and ".SequentialRunner " not in runner:
            raise refused(runner)
        self._stack.close()
        with ExitStack() as stack:
            self._run = run = stack.enter_context(running())
            self._unsaved = []
            run.catalog = catalog
            run.lock_timeout_seconds = catalog.load("params:run.lock_timeout_seconds")
            for option in ("full_refresh", "verify", "allow_removal", "take_over"):
                setattr(run, option, bool(catalog.load(f"params:{option}")))
            self._retries = RetryRules.from_parameters(
                catalog.load("params:retries"),
                layers=[name for name in pipelines if name != "__default__"],
                scheduled=is_scheduled(os.environ),
            )
            stack.callback(warehouse.close)
            if MANIFEST not in pipeline.all_outputs():
                self._confirm_batches()
            self._stack = stack.pop_all()

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Follow which tables are about to be written."""
        self._enter(node)

    @hook_impl
    def before_node_run(self, node: Node, is_async: bool) -> None:
        """Refuse asynchronous loading and saving.

        Raises:
            UsageError: Datasets would use one DuckDB connection from several threads.
        """
        if is_async:
            raise refused("--async")
        self._enter(node)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Drop what is kept of the table's last failure, and check the named batches once the manifest is there.

        Raises:
            UsageError: The run names a batch that no accepted raw file holds.
        """
        self._unsaved = [name for name in self._unsaved if name != dataset_name]
        forget_failure(self._run.catalog[dataset_name])
        if dataset_name == MANIFEST:
            self._confirm_batches()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the run and let other processes have the warehouse."""
        self._run.end()
        self._stack.close()

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Keep which tables could not be written, then end the run as after one that succeeded."""
        self._run.unwritten = [getattr(self._run.catalog[name], "qualified_name", name) for name in self._unsaved]
        record_failures([self._run.catalog[name] for name in self._unsaved], self._run, error)
        self._run.end(error)
        self._stack.close()

    def _enter(self, node: Node) -> None:
        self._unsaved = list(node.outputs)
        self._run.retry_rule = self._retries.rule_for(node.tags)

    def _confirm_batches(self) -> None:
        if self._run.batches:
            confirm_batches(self._run.catalog[MANIFEST], self._run.batches)


def refused(what: str) -> UsageError:
    """The error for a way of running that DuckDB cannot take part in."""
    return UsageError(
        f"{what} would use one DuckDB connection from several threads or processes.",
        kept="Nothing was run.",
        next_step="Leave --runner and --async out: DuckDB itself uses every core.",
    )
