"""Alerts need a file to remember what they told; it takes its room before the disk can be full."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from bioreactor_lake.alerts import VARIABLE, state_file
from bioreactor_lake.datasets import MANIFEST
from bioreactor_lake.environment import read_secret
from bioreactor_lake.lake.runs import current_run

logger = logging.getLogger(__name__)


class AlertHooks:
    """Makes the file where somebody is to be told and it is not there yet."""

    def __init__(self) -> None:
        self._is_wanted = False

    @hook_impl
    def after_catalog_created(self, conf_creds: dict[str, Any]) -> None:
        """Learn whether there is a channel."""
        self._is_wanted = bool(conf_creds.get("alerts") or read_secret(VARIABLE))

    @hook_impl
    def before_pipeline_run(self, catalog: CatalogProtocol[Any, Any]) -> None:
        """Make the file."""
        if not self._is_wanted or current_run() is None or MANIFEST not in catalog:
            return
        path = state_file(Path(catalog[MANIFEST].warehouse_config["filepath"]))
        if path.exists():
            return
        import sqlite3

        from bioreactor_lake.alerts.state import AlertState

        try:
            AlertState(path).close()
        except (OSError, sqlite3.Error) as error:
            # The run may not need it, and says so if it does.
            logger.debug("%s cannot be made: %s", path, error)
