"""What the lake says of its columns and tags, for the dashboards."""

from __future__ import annotations

from typing import Any

from bioreactor_lake.postgres import data_quality, run_history, set_aside
from bioreactor_lake.superset.bundle import Documentation


def read_documentation(context: Any) -> Documentation:
    """The descriptions of columns and the units of tags, as configured.

    Args:
        context: Kedro's.
    """
    loader = context.config_loader
    tables = {
        mart.MART.partition(".")[2]: {name: text for name, (_, text) in mart.COLUMNS.items()}
        for mart in (run_history, data_quality, set_aside)
    }
    units = {tag: said.get("uom") for tag, said in loader["tags"].items()}
    spellings = {tag: [said["uom"], *said.get("units", ())] for tag, said in loader["tags"].items() if said.get("uom")}
    return Documentation(loader["globals"]["columns"], tables, units, spellings)
