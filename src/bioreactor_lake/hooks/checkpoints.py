"""Checkpoints of every run: after each table that has a suite, before marts, and in the transaction of each mart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline.node import Node

from bioreactor_lake.datasets import MANIFEST
from bioreactor_lake.lake.runs import Run, current_run

if TYPE_CHECKING:
    from bioreactor_lake.datasets.checkpoints import Checkpoints


class CheckpointHooks:
    """Asks the suites of the configuration, and refuses to build on what must not be built on."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._checkpoints: Checkpoints | None = None
        self._checked: set[str] = set()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the configuration is."""
        self._context = context

    @hook_impl
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Read the suites.

        Raises:
            UsageError: One holds what is not supported; nothing is run.
        """
        self._checked, self._checkpoints = set(), None
        if self._context is not None and catalog.load("params:checkpoints"):
            self._checkpoints = read_checkpoints(self._context, catalog)

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: Node, catalog: DataCatalog) -> None:
        """Before a mart is built, check what was not; and build on nothing that must not be built on.

        Raises:
            LakeError: A table below fails what nothing may be built on.
        """
        checkpoints, run = self._checkpoints, current_run()
        if checkpoints is None or run is None:
            return
        from bioreactor_lake.datasets.marts import MartDataset

        if any(isinstance(catalog.get(name), MartDataset) for name in node.outputs):
            checkpoints.forget_others(run)
            for name in checkpoints.settings.suites:
                self._check(name, run)
            run.checkpoints = checkpoints
        else:
            checkpoints.refuse_to_build_on(node.inputs, run)

    # Before any other hook takes the node for one that is complete.
    @hook_impl(tryfirst=True)
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Check what was saved.

        Raises:
            LakeError: It fails what nothing may be built on.
        """
        if (run := current_run()) is not None:
            self._check(dataset_name, run)

    def _check(self, name: str, run: Run) -> None:
        if self._checkpoints is not None and name not in self._checked:
            self._checked.add(name)
            self._checkpoints.check(name, run)


def read_checkpoints(context: KedroContext, catalog: DataCatalog) -> Checkpoints:
    """The checkpoints of the configuration.

    Raises:
        UsageError: It holds what is not supported.
    """
    from bioreactor_lake.datasets.checked_tables import tables_with_suites
    from bioreactor_lake.datasets.checkpoints import Checkpoints
    from bioreactor_lake.quality.configuration import QualitySettings

    loader, tables = context.config_loader, tables_with_suites(catalog)

    def load() -> QualitySettings:
        return QualitySettings.load(loader, tables, [MANIFEST])

    kept = getattr(loader, "kept", None)  # a notebook may have a loader of Kedro's own
    return Checkpoints(catalog, load() if kept is None else kept(f"quality of {', '.join(tables)}", load))
