"""Where the results of a run's checks go when it has ended: to the marts' database, and into a page."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline.node import Node

from bioreactor_lake.lake.runs import Run, current_run
from bioreactor_lake.lineage.redaction import find_secrets, redact_nested

logger = logging.getLogger(__name__)


class QualityResultsHooks:
    """Tells of what was checked, once the run says that it has ended. It never fails a run."""

    def __init__(self) -> None:
        self._project = Path()
        self._credentials: Any = None
        self._catalog: Any = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project is."""
        self._project = Path(context.project_path)

    @hook_impl
    def after_catalog_created(self, conf_creds: dict[str, Any]) -> None:
        """Remember what is secret."""
        self._credentials = conf_creds

    @hook_impl
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Remember what is configured."""
        self._catalog = catalog

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """With the first node, wait for the end of the run."""
        run, catalog = current_run(), self._catalog
        if run is not None and catalog is not None:
            self._catalog = None
            run.when_ended.append(lambda error: self._tell(run, error, catalog))

    def _tell(self, run: Run, error: BaseException | None, catalog: Any) -> None:
        from bioreactor_lake.datasets.attempts import is_interrupted

        if is_interrupted(error):
            return
        for tell in (_publish, self._write_page):
            try:
                tell(run, error, catalog)
            except Exception as fault:
                logger.warning("The results of checks are not told everywhere: %s: %s", type(fault).__name__, fault)
                logger.debug("What happened to the results of checks", exc_info=True)

    def _write_page(self, run: Run, error: BaseException | None, catalog: Any) -> None:
        """Write the page of a run that has news, or that holds other things than the one before."""
        settings = catalog.load("params:quality_report")
        if not settings["folder"] or not (run.has_results or run.held or run.failing_tables):
            return
        from bioreactor_lake.datasets import MANIFEST, verdicts, warehouse
        from bioreactor_lake.datasets.attempts import explain
        from bioreactor_lake.datasets.quality_report import describe_run, state_of
        from bioreactor_lake.datasets.report_files import LATEST, is_latest, keep_page

        folder, sentence = self._project / settings["folder"], None
        if error is not None:
            secrets = find_secrets(os.environ, self._credentials)
            sentence = redact_nested(" ".join(explain(error).split()), secrets)
        backend = warehouse.writable(catalog[MANIFEST].warehouse_config)
        if not run.has_results and is_latest(folder, state_of(run, sentence)):
            path = folder / LATEST
        elif backend is not None and verdicts.is_there(backend):
            from bioreactor_lake.quality.page import render

            text = render(describe_run(backend, run, sentence))
            path = keep_page(folder, run.run_id, text, keep=settings["keep"])
        else:
            return
        run.notices.append(f"What was checked: {_shorten(path)}")


def _publish(run: Run, error: BaseException | None, catalog: Any) -> None:
    """Add what was found to the database of the marts, if there is any news for it."""
    from bioreactor_lake.datasets.history_mart import find_published
    from bioreactor_lake.datasets.marts import MartDataset
    from bioreactor_lake.datasets.quality_mart import publish_results
    from bioreactor_lake.datasets.set_aside_mart import publish_set_aside

    has_published = any(one.batches != 0 for one in run.writes if one.table.startswith("marts."))
    mart = find_published(run)
    if mart is not None:
        publish_set_aside(mart, run)
    if not run.has_results and not has_published:
        return
    if mart is None and error is not None and not _is_of_postgres(error):
        # What stopped the run before its marts is what has to be seen; a server that was never started has no reader.
        marts = (catalog[name] for name in catalog.filter(by_type=MartDataset))
        mart = next((one for one in marts if one.database.is_made), None)
    if mart is not None:
        publish_results(mart)


def _is_of_postgres(error: BaseException | None) -> bool:
    """Whether the database is what ended a run."""
    import psycopg

    while error is not None and not isinstance(error, psycopg.Error):
        error = error.__cause__ or error.__context__
    return error is not None


def _shorten(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
