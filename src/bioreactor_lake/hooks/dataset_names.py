"""What lineage calls the datasets of a run: entries of the catalog, tables, and the leaves of expressions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from kedro.io import CatalogProtocol, DatasetError

from bioreactor_lake.datasets.landed_files import LandedFilesDataset
from bioreactor_lake.datasets.landing_zone import LandingZoneDataset
from bioreactor_lake.datasets.manifest import AcceptedFilesDataset, ManifestDataset
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.parquet_views import PARQUET_VIEW
from bioreactor_lake.datasets.raw_folder import RawFolderDataset
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.logic import name_leaf
from bioreactor_lake.lake.runs import current_run
from bioreactor_lake.lineage.naming import (
    DatasetName,
    name_duckdb_table,
    name_embedded_table,
    name_postgres_table,
    name_raw_files,
)


class DatasetNames:
    """The names of the datasets of a run.

    Args:
        catalog: The catalog of the run.
        entries: The entries of it that the run uses; no other is made for lineage.
        postgres_hosts: For hosts as connections spell them, the names that others know them by.
    """

    def __init__(
        self, catalog: CatalogProtocol[Any, Any], entries: Iterable[str], postgres_hosts: Mapping[str, str]
    ) -> None:
        self._catalog, self._postgres_hosts = catalog, postgres_hosts
        self.tables: dict[str, Any] = {}
        """The datasets of tables, by schema and name."""
        for entry in sorted(entries):
            dataset = self.dataset(entry)
            qualified = getattr(dataset, "qualified_name", None)
            # The manifest describes what other entries read of it.
            if qualified and (qualified not in self.tables or isinstance(dataset, ManifestDataset)):
                self.tables[qualified] = dataset

    def dataset(self, entry: str) -> Any:
        """The dataset of an entry; None where it has none, or where it cannot even be made: the run says why."""
        try:
            return self._catalog.get(entry)
        except DatasetError:
            return None

    def describing(self, dataset: Any) -> Any:
        """The dataset that describes a table which several entries of the catalog stand for."""
        return self.tables.get(getattr(dataset, "qualified_name", ""), dataset)

    def of_entry(self, entry: str) -> list[DatasetName]:
        """The names behind an entry of the catalog; none for what lives in memory only."""
        dataset = self.dataset(entry)
        if isinstance(dataset, RawFolderDataset):
            return [self.of_raw_files(dataset)]
        if isinstance(dataset, LandingZoneDataset):
            return [name_raw_files(str(dataset.root))]
        if isinstance(dataset, LandedFilesDataset):
            run = current_run()
            made = [self.of_raw_files(dataset)] if run is not None and run.landed_batches else []
            return [self.of_table(dataset), *made]
        if isinstance(dataset, AcceptedFilesDataset):
            return [self.of_table(dataset), self.of_raw_files(dataset)]
        if isinstance(dataset, WarehouseDataset | MartDataset):
            return [self.of_table(dataset)]
        path = getattr(dataset, "_filepath", None)
        if path is None:
            return []
        protocol = getattr(dataset, "_protocol", "file")
        return [name_raw_files(str(path) if protocol in ("file", "") else f"{protocol}://{path}")]

    def of_table(self, dataset: WarehouseDataset | MartDataset) -> DatasetName:
        """The name of a table or mart."""
        if isinstance(dataset, MartDataset):
            return self._of_mart(dataset)
        file = dataset.warehouse_config["filepath"]
        return name_duckdb_table(file, dataset.qualified_name, dataset.kind.upper())

    def of_leaf(self, leaf: Any) -> tuple[DatasetName, Any]:
        """The name of a leaf table of an expression, and its dataset. The views of the raw files are the raw files."""
        name = name_leaf(leaf)
        if name in self.tables:
            return self.of_table(self.tables[name]), self.tables[name]
        some = next(one for one in self.tables.values() if isinstance(one, WarehouseDataset))
        if name.startswith(f"raw.{PARQUET_VIEW}"):
            return self.of_raw_files(some), None
        return name_duckdb_table(some.warehouse_config["filepath"], name), None

    def of_raw_files(self, dataset: RawFolderDataset | WarehouseDataset) -> DatasetName:
        """The name of the raw files that a warehouse is made from."""
        root = dataset.warehouse_config["raw"]["path"]
        return name_raw_files(root.rstrip("/") if "://" in root else root)

    def _of_mart(self, dataset: MartDataset) -> DatasetName:
        try:
            database = dataset.database
            address = database.address
        except (psycopg.Error, LakeError, ValueError):
            # An address that cannot be read: the save says so.
            return name_duckdb_table(dataset.warehouse_config["filepath"], dataset.qualified_name)
        if database.is_embedded:
            host_and_port = address and address[:2]
            name = "lake" if address is None else address[2]
            return name_embedded_table(database.config["path"], name, dataset.qualified_name, address=host_and_port)
        assert address is not None
        host, port, name = address
        known_as = self._postgres_hosts.get(host)
        return name_postgres_table(
            host, port, name, dataset.qualified_name, known_as=[known_as, host] if known_as else ()
        )
