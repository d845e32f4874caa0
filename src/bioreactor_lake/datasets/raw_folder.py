"""The raw folder as a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.inspection import RawFolder
from bioreactor_lake.datasets.preview import show_reason, show_rows
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.runs import current_run
from bioreactor_lake.raw_store import RawStore


class RawFolderDataset(AbstractDataset[None, RawFolder]):
    """The raw folder or bucket, read-only.

    Args:
        warehouse: Where the raw files are, and the DuckDB file whose connection reads them.
        ignore: Name patterns of files that are no raw files, such as unfinished copies.
        metadata: For Kedro-Viz.
    """

    def __init__(
        self,
        *,
        warehouse: warehouse.WarehouseConfig,
        ignore: Sequence[str] = (),
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._config = warehouse
        self._ignore = tuple(ignore)
        self.metadata = metadata

    @property
    def warehouse_config(self) -> warehouse.WarehouseConfig:
        """Where the raw files are, and the warehouse that takes them in."""
        return self._config

    @property
    def ignore(self) -> tuple[str, ...]:
        """Name patterns of files that are no raw files."""
        return self._ignore

    def load(self) -> RawFolder:
        """The files as they are now.

        Raises:
            LakeError: The place is not there, or cannot be listed.
        """
        run = current_run()
        backend = warehouse.connect(self._config)
        if run is None:
            return RawFolder(self._store, self._ignore, backend)
        return RawFolder(self._store, self._ignore, backend, verify=run.verify, patience_seconds=run.patience_seconds)

    def save(self, data: None) -> None:
        """Refused: raw files are what the instruments wrote.

        Raises:
            LakeError: Always.
        """
        raise LakeError("Raw files are never written by the lake.", next_step="Save to another dataset.")

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first files, for Kedro-Viz, or why there are none."""
        try:
            files = self._store.find_files(self._ignore)[:nrows]
        except LakeError as error:
            return show_reason(error)
        names = ["path", "size_bytes", "modified_at"]
        return show_rows(names, [(file.path, file.size_bytes, file.modified_at) for file in files])

    @property
    def _store(self) -> RawStore:
        return warehouse.raw_store(self._config)

    def _describe(self) -> dict[str, Any]:
        return {"path": self._config["raw"]["path"], "ignore": self._ignore}

    def _exists(self) -> bool:
        try:
            return bool(self._store.find_files(self._ignore))
        except LakeError:
            return False
