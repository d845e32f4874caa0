"""Kedro's catalog, in which plain parameters are held without a look at pandas."""

from __future__ import annotations

from typing import Any

from kedro.framework.context import CatalogCommandsMixin
from kedro.io import DataCatalog, MemoryDataset

_PLAIN = (dict, list, str, int, float, bool, type(None))


class LakeCatalog(DataCatalog, CatalogCommandsMixin):
    """The catalog of the project.

    Kedro copies every parameter in and out, and to choose how imports pandas, which takes longer than a run that finds
    nothing to do. What is plain is copied the way Kedro would choose in the end, and said so.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        """Register a dataset, or data as one in memory."""
        if isinstance(value, _PLAIN):
            value = MemoryDataset(data=value, copy_mode="deepcopy")
        super().__setitem__(key, value)
