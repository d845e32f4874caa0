"""What holds for every run, however it was started."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.errors import UsageError
from bioreactor_lake.lake.runs import running


class RunHooks:
    """Refuses what DuckDB cannot do, marks the time in which the warehouse may be written, and closes it afterwards."""

    def __init__(self) -> None:
        self._run = ExitStack()

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Check the runner and begin the run.

        Raises:
            UsageError: The runner would use one DuckDB connection from several threads or processes.
        """
        runner = run_params["runner"]
        if runner != "None" and ".SequentialRunner " not in runner:
            raise refused(runner)
        self._run.close()
        run = self._run.enter_context(running())
        run.catalog = catalog
        run.lock_timeout_seconds = catalog.load("params:run.lock_timeout_seconds")
        for option in ("full_refresh", "verify", "allow_removal", "take_over"):
            setattr(run, option, bool(catalog.load(f"params:{option}")))
        self._run.callback(warehouse.close)

    @hook_impl
    def before_node_run(self, node: Node, is_async: bool) -> None:
        """Refuse asynchronous loading and saving.

        Raises:
            UsageError: Datasets would use one DuckDB connection from several threads.
        """
        if is_async:
            raise refused("--async")

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the run and let other processes have the warehouse."""
        self._run.close()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """As after a run that succeeded."""
        self._run.close()


def refused(what: str) -> UsageError:
    """The error for a way of running that DuckDB cannot take part in."""
    return UsageError(
        f"{what} would use one DuckDB connection from several threads or processes.",
        kept="Nothing was run.",
        next_step="Leave --runner and --async out: DuckDB itself uses every core.",
    )
