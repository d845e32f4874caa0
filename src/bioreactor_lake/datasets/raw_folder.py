"""The raw folder as a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.found_files import find_files
from bioreactor_lake.datasets.inspection import RawFolder
from bioreactor_lake.datasets.preview import show_reason, show_rows
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.runs import current_run


class RawFolderDataset(AbstractDataset[None, RawFolder]):
    """The raw folder, read-only.

    Args:
        path: The folder of raw Parquet files; subfolders are looked into, hidden names (`.` or `_`) are not.
        warehouse: The DuckDB file whose connection reads the files.
        ignore: Name patterns of files that are no raw files, such as unfinished copies.
        metadata: For Kedro-Viz.
    """

    def __init__(
        self,
        *,
        path: str,
        warehouse: warehouse.WarehouseConfig,
        ignore: Sequence[str] = (),
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._given = path
        self._path = Path(path)
        self._config = warehouse
        self._ignore = tuple(ignore)
        self.metadata = metadata

    def load(self) -> RawFolder:
        """The folder as it is now.

        Raises:
            LakeError: It is not on this machine's file system.
        """
        if "://" in self._given:
            raise LakeError(
                f"Raw files in object storage ({self._given}) cannot be read yet.",
                kept="Nothing was changed.",
                next_step="Mount or copy them, and set BIOREACTOR_LAKE_RAW to that folder.",
            )
        run = current_run()
        backend = warehouse.connect(self._config)
        return RawFolder(self._path, self._ignore, backend, verify=run is not None and run.verify)

    def save(self, data: None) -> None:
        """Refused: raw files are what the instruments wrote.

        Raises:
            LakeError: Always.
        """
        raise LakeError("Raw files are never written by the lake.", next_step="Save to another dataset.")

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first files, for Kedro-Viz, or why there are none."""
        try:
            files = find_files(self._path, self._ignore)[:nrows]
        except LakeError as error:
            return show_reason(error)
        names = ["path", "size_bytes", "modified_at"]
        return show_rows(names, [(file.path, file.key[0], file.modified_at) for file in files])

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path), "ignore": self._ignore}

    def _exists(self) -> bool:
        return self._path.is_dir()
