"""The marts of a lake, asked by Great Expectations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.framework.project import pipelines

from bioreactor_lake.data_docs.site import Answer, ask_great_expectations, refuse_without_great_expectations
from bioreactor_lake.data_docs.translation import translate_suite
from bioreactor_lake.datasets import MANIFEST
from bioreactor_lake.datasets.checked_tables import CheckedTables
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.errors import UsageError
from bioreactor_lake.quality.configuration import QualitySettings


def ask_marts(context: Any, folder: Path | None) -> list[Answer]:
    """Ask the suites of all marts, as they are in Postgres.

    Args:
        context: Kedro's context.
        folder: Where the Data Docs go; None for none.

    Raises:
        UsageError: No mart has a suite, or a suite is not understood.
        LakeError: Great Expectations is not installed, or a mart cannot be read.
    """
    refuse_without_great_expectations()
    catalog = context.catalog
    known = CheckedTables(catalog, pipelines["__default__"])
    settings = QualitySettings.load(context.config_loader, [*known], [MANIFEST])
    marts = {name: catalog[name] for name in settings.suites if isinstance(catalog[name], MartDataset)}
    if not marts:
        raise UsageError("No mart has a suite.", next_step="A suite is a file conf/base/suites/<mart>.yml.")
    suites = {
        name: translate_suite(
            settings.suites[name], known[name], tables=known, tags=settings.tags, equipment=tuple(settings.equipment)
        )
        for name in marts
    }
    places = {
        name: (schema, table)
        for name, mart in marts.items()
        for schema, _, table in [mart.qualified_name.partition(".")]
    }
    return ask_great_expectations(suites, places, next(iter(marts.values())).database.url, folder)
