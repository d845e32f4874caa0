"""How many rows and columns each table has, written where Kedro-Viz looks for it."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog

from bioreactor_lake.datasets import MANIFEST
from bioreactor_lake.lake.runs import WriteReport, current_run

logger = logging.getLogger(__name__)

_FILE = Path(".viz/stats.json")


class TableStatistics:
    """Keeps `.viz/stats.json` in step with the tables that a run writes.

    It takes the name of Kedro-Viz's own hook, which then is not loaded: that one counts the rows of pandas frames, of
    which the lake has none, and would import pandas in every run, for longer than an idle one takes.
    """

    __name__ = "kedro-dataset-stats"

    def __init__(self) -> None:
        self._path = _FILE
        self._catalog = DataCatalog()
        self._known: dict[str, dict[str, Any]] = {}
        self._writable = True

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: DataCatalog) -> None:
        """Read what is known."""
        self._path = Path(run_params["project_path"]) / _FILE
        self._catalog = catalog
        # In an image nobody looks at Kedro-Viz, and the project may not be written to.
        self._writable = os.access(self._path.parent if self._path.parent.exists() else self._path.parents[1], os.W_OK)
        try:
            self._known = dict(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, TypeError):
            self._known = {}

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Count the rows of the table in the lake's state, and write at once: an interrupted run comes to no end."""
        run = current_run()
        written = run.writes[-1] if run is not None and run.writes else None
        try:
            self._count(dataset_name, len(getattr(data, "columns", ())), written)
            if dataset_name == MANIFEST:
                self._count_views()
        except Exception as error:
            # A number in Kedro-Viz is no reason for a run to fail.
            logger.warning("Kedro-Viz will not show how many rows %s has: %s", dataset_name, error)

    def _count_views(self) -> None:
        """Count the rows of the views again: they are others at once, whether or not the run goes on to save them."""
        from bioreactor_lake.datasets.tables import ViewDataset

        for name, known in [*self._known.items()]:
            if isinstance(self._catalog.get(name), ViewDataset):
                self._count(name, known["columns"], None)

    def _count(self, dataset_name: str, columns: int, written: WriteReport | None) -> None:
        from bioreactor_lake.datasets.storage import find_statistics

        name = dataset_name.partition("@")[0]
        found = find_statistics(self._catalog[dataset_name], columns, written, self._known.get(name))
        if found is not None and found != self._known.get(name):
            self._known[name] = found
            self._write()

    def _write(self) -> None:
        if not self._writable:
            return
        self._path.parent.mkdir(exist_ok=True)
        part = self._path.with_name(f"stats.{os.getpid()}.json")
        part.write_text(json.dumps(self._known))
        part.replace(self._path)
