"""Versions of what tables hold: equal only where the same raw files went through the same logic."""

from __future__ import annotations

import hashlib
from typing import Any

from bioreactor_lake.datasets import holdings
from bioreactor_lake.datasets.extracted_tables import ExtractedTableDataset
from bioreactor_lake.datasets.manifest import AcceptedFilesDataset, ManifestDataset
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.tables import MaterialisedDataset, ViewDataset

_ACCEPTED = "SELECT path, content_hash FROM raw.files WHERE status = 'accepted'"


def version_of(backend: Any, dataset: Any) -> str | None:
    """The version of a relation of the warehouse as it is now, or None where it has none.

    Args:
        backend: The warehouse.
        dataset: Its dataset in the catalog.
    """
    if isinstance(dataset, ManifestDataset | AcceptedFilesDataset):
        return holdings.digest_rows(backend, _ACCEPTED)
    if isinstance(dataset, MaterialisedDataset | ExtractedTableDataset):
        return holdings.digest_rows(
            backend, f"SELECT batch_id, fingerprint FROM ({holdings.held_rows(dataset.qualified_name)})"
        )
    if isinstance(dataset, ViewDataset):
        found = holdings.relation_of(backend, dataset.qualified_name)
        text = None if found is None else f"{found[1]}|{holdings.digest_rows(backend, _ACCEPTED)}"
        return None if text is None else hashlib.sha256(text.encode()).hexdigest()[:32]
    return None


def version_published(backend: Any, dataset: Any) -> str | None:
    """The version of a mart that was published a moment ago, with every batch that it should hold."""
    return holdings.digest_rows(backend, holdings.EXPECTED_QUERY) if isinstance(dataset, MartDataset) else None
