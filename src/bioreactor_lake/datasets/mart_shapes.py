"""The tables of Postgres that the marts need, by the code as it is; neither raw files nor a warehouse need be there."""

from __future__ import annotations

from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.tracing import collect_from_code
from bioreactor_lake.postgres.mart_tables import MartTable

# However a file spells them, its columns become these, so that one plain file stands for all.
PLAIN_FILE = {
    "batch_id": "string",
    "equipment_id": "string",
    "tag": "string",
    "ts": "timestamp",
    "value": "float64",
    "source_file": "string",
}


def find_shapes(catalog: CatalogProtocol[Any, Any], pipeline: Pipeline) -> list[MartTable]:
    """The marts that nodes publish, by name.

    Args:
        catalog: The datasets.
        pipeline: The nodes.
    """
    marts = sorted(name for name in pipeline.all_outputs() if _is(catalog, name, MartDataset))
    needed = pipeline.to_outputs(*marts)
    expressions = collect_from_code(catalog, needed, PLAIN_FILE)
    return [catalog[name].shape(expressions[catalog[name].qualified_name]) for name in marts]


def _is(catalog: CatalogProtocol[Any, Any], name: str, kind: type) -> bool:
    return name in catalog and isinstance(catalog[name], kind)
