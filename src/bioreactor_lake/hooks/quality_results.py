"""Where the results of a run's checks go when it has ended: to the marts' database, and into a page."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline.node import Node

from bioreactor_lake.lake.runs import Run, current_run

logger = logging.getLogger(__name__)


class QualityResultsHooks:
    """Tells of what was checked, once the run says that it has ended. It never fails a run."""

    def __init__(self) -> None:
        self._project = Path()
        self._catalog: Any = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project is."""
        self._project = Path(context.project_path)

    @hook_impl
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Remember what is configured."""
        self._catalog = catalog

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """With the first node, wait for the end of the run."""
        run, catalog = current_run(), self._catalog
        if run is None or catalog is None:
            return
        self._catalog = None
        project = self._project
        run.when_ended.append(lambda error: _tell(run, error, catalog, project))


def _tell(run: Run, error: BaseException | None, catalog: Any, project: Path) -> None:
    from bioreactor_lake.datasets.attempts import is_interrupted

    if is_interrupted(error):
        return
    for act in (_publish,):
        try:
            act(run, error, catalog, project)
        except Exception as fault:
            logger.warning("The results of checks are not told everywhere: %s: %s", type(fault).__name__, fault)
            logger.debug("What happened to the results of checks", exc_info=True)


def _publish(run: Run, error: BaseException | None, catalog: Any, project: Path) -> None:
    from bioreactor_lake.datasets.history_mart import find_published
    from bioreactor_lake.datasets.marts import MartDataset
    from bioreactor_lake.datasets.quality_mart import publish_results

    has_published = any(one.batches != 0 for one in run.writes if one.table.startswith("marts."))
    if not run.has_results and not has_published:
        return
    mart = find_published(run)
    if mart is None and error is not None:
        # What stopped the run before its marts is what has to be seen; a server that was never started has no reader.
        marts = (catalog[name] for name in catalog.filter(by_type=MartDataset))
        mart = next((one for one in marts if one.database.is_made), None)
    if mart is not None:
        publish_results(mart)
