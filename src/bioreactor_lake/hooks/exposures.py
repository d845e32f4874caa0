"""Dashboards and other readers of the marts, as lineage tells of them."""

from __future__ import annotations

from typing import Any

from kedro.io import CatalogProtocol

from bioreactor_lake.errors import UsageError
from bioreactor_lake.lineage.events import DatasetUse, JobDescription
from bioreactor_lake.lineage.facets import facet, job_type_facet, ownership_facet
from bioreactor_lake.lineage.settings import Exposure, LineageSettings
from bioreactor_lake.lineage.source_code import without_credentials


def confirm_exposures(settings: LineageSettings, catalog: CatalogProtocol[Any, Any]) -> None:
    """Refuse exposures that read what there is not: they would never be told of.

    Raises:
        UsageError: One does; it names both.
    """
    if not settings.exposures:
        return
    names = [name for name in catalog if not name.startswith("param")]
    known = {*names, *(getattr(catalog.get(name), "qualified_name", "") for name in names)}
    for exposure in settings.exposures:
        if unknown := [name for name in exposure.reads if name not in known]:
            raise UsageError(
                f"The exposure {exposure.name} in openlineage.yml reads {', '.join(unknown)}, which there is not.",
                next_step=f"Name tables of the catalog, such as {', '.join(n for n in names if n.startswith('mart'))}.",
            )


def describe_exposure(exposure: Exposure) -> JobDescription:
    """The job of a reader."""
    text = " ".join(part for part in (exposure.description, without_credentials(exposure.url)) if part)
    owners = [{"name": exposure.owner}] if exposure.owner else []
    return JobDescription(
        exposure.name,
        {
            **job_type_facet(exposure.kind, "EXPOSURE"),
            **(facet("documentation", {"description": text}, of_job=True) if text else {}),
            **ownership_facet(owners, of_job=True),
        },
    )


def as_input(use: DatasetUse) -> DatasetUse:
    """What was written, as others read it: how it was made is said where it was."""
    made = ("columnLineage", "lifecycleStateChange")
    return DatasetUse(use.dataset, {key: value for key, value in use.facets.items() if key not in made})
