"""What lineage says of the datasets of a run: columns, versions, what was read and written of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from bioreactor_lake.datasets import relation_catalog, warehouse
from bioreactor_lake.datasets.expressions import spell_type
from bioreactor_lake.datasets.extracted_tables import ExtractedTableDataset
from bioreactor_lake.datasets.known_logic import remembered
from bioreactor_lake.datasets.landed_files import LandedFilesDataset
from bioreactor_lake.datasets.landing_zone import LandingZoneDataset
from bioreactor_lake.datasets.manifest import AcceptedFilesDataset, ManifestDataset
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.datasets.tables import MaterialisedDataset
from bioreactor_lake.datasets.versions import version_of, version_published
from bioreactor_lake.errors import LakeError
from bioreactor_lake.hooks.dataset_names import DatasetNames
from bioreactor_lake.lake import resident
from bioreactor_lake.lake.logic import leaves, name_leaf
from bioreactor_lake.lake.runs import RAW_FILES, CheckReport, ReadReport, WriteReport
from bioreactor_lake.lake.structure import hash_structure
from bioreactor_lake.lineage.columns import trace_columns
from bioreactor_lake.lineage.events import DatasetUse
from bioreactor_lake.lineage.facets import (
    Facets,
    assertions_facet,
    column_lineage_facet,
    facet,
    ownership_facet,
    read_facet,
    schema_facet,
    tags_facet,
    version_facet,
)
from bioreactor_lake.lineage.naming import (
    DatasetName,
)
from bioreactor_lake.lineage.origins import TableLineage
from bioreactor_lake.lineage.settings import LineageSettings

_RAW_DESCRIPTION = "Raw files, with the columns of all that are accepted"


class DatasetFacts:
    """Describes the inputs and outputs of nodes.

    Args:
        names: What its datasets are called.
        settings: Owners, and how column lineage is said.
        is_full_refresh: Whether the run writes every table as a whole.
    """

    def __init__(self, names: DatasetNames, settings: LineageSettings, *, is_full_refresh: bool = False) -> None:
        self._names, self._settings, self._is_full_refresh = names, settings, is_full_refresh
        self._changes: dict[str, str | None] = {}
        self._versions: dict[DatasetName, str | None] = {}

    def inputs(self, names: Sequence[str], loaded: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[DatasetUse]:
        """What a node reads: its inputs, and what the expressions that it returned read besides.

        Args:
            names: Names of its inputs.
            loaded: Their data, as far as they were loaded.
            outputs: What it returned, as far as it has.
        """
        columns: dict[DatasetName, dict[str, str]] = {}
        described: dict[DatasetName, Any] = {}
        for name in names:
            dataset = self._names.dataset(name)
            for found in self._names.of_entry(name):
                is_raw = found.kind == "FILE" and not isinstance(dataset, LandingZoneDataset)
                described[found] = None if is_raw else self._names.describing(dataset)
                columns.setdefault(found, {})
            if isinstance(data := loaded.get(name), ir.Table) and isinstance(dataset, WarehouseDataset | MartDataset):
                columns[self._names.of_table(dataset)] = _spell_columns(dataset, data.schema())
            if isinstance(dataset, AcceptedFilesDataset) and (manifest := self._names.describing(dataset)) is not None:
                columns[self._names.of_table(dataset)] = dict(manifest.column_types)
                # The raw files are in the state that the manifest tells of.
                self._versions[self._names.of_raw_files(dataset)] = self._version_now(dataset)
        for table in (data for data in outputs.values() if isinstance(data, ir.Table)):
            for leaf in leaves(table):
                found, dataset = self._names.of_leaf(leaf)
                described.setdefault(found, dataset)
                _add_columns(columns.setdefault(found, {}), _spell_columns(dataset, leaf.schema))
        return [self._use(found, described[found], columns[found]) for found in described]

    def output(self, name: str, data: Any) -> list[DatasetUse]:
        """What a node writes, with its columns if they are known.

        Args:
            name: The name of the output.
            data: What the node returned for it, or None before it has.
        """
        dataset = self._names.dataset(name)
        if isinstance(dataset, ManifestDataset | LandedFilesDataset | ExtractedTableDataset):
            columns = dict(dataset.column_types)
        else:
            columns = _spell_columns(dataset, data.schema()) if isinstance(data, ir.Table) else {}
        change = self._find_change(name, dataset, columns)
        return [
            use if use.dataset.kind == "FILE" else replace(use, facets={**use.facets, **change})
            for use in (
                self._use(found, *((None, {}) if found.kind == "FILE" else (dataset, columns)), version=False)
                for found in self._names.of_entry(name)
            )
        ]

    def written(self, name: str, data: Any, report: WriteReport | None, *, is_whole: bool) -> list[DatasetUse]:
        """What a node has written, with where its columns come from, how much it is, and its version now.

        Args:
            name: The name of the output.
            data: What was saved.
            report: What the save did.
            is_whole: Whether the table is up to date as a whole now, and not only for some batches.
        """
        dataset = self._names.dataset(name)
        uses = self.output(name, data)
        if not uses or not isinstance(data, ir.Table):
            return uses
        # Landed files become raw files as well, of which it is known that they were written.
        use, *others = uses
        facets = {**use.facets, **self._column_lineage(data)}
        backend = _open_warehouse(dataset)
        if backend is not None:
            published = version_published(backend, dataset) if is_whole else None
            self._versions[use.dataset] = published or self._version_now(dataset)
            facets |= version_facet(self._versions[use.dataset])
        statistics: Facets = {}
        if report is not None and report.rows is not None:
            statistics = facet("outputStatistics", {"rowCount": report.rows})
        return [DatasetUse(use.dataset, facets, statistics), *others]

    def with_statistics(
        self,
        uses: Sequence[DatasetUse],
        reports: Sequence[WriteReport],
        checks: Mapping[str, Sequence[CheckReport]],
    ) -> list[DatasetUse]:
        """Inputs with what the saves of a node read of them, and what the run has found out about them."""
        read: dict[DatasetName, ReadReport] = {}
        for one in (one for report in reports for one in report.reads):
            if one.table == RAW_FILES:
                names = [use.dataset for use in uses if use.dataset.kind == "FILE"]
            else:
                names = [self._names.of_table(self._names.tables[one.table])] if one.table in self._names.tables else []
            read |= dict.fromkeys(names, one)
        nothing = bool(reports) and all(report.batches == 0 for report in reports)
        checked = {
            self._names.of_table(self._names.tables[name]): found
            for name, found in checks.items()
            if name in self._names.tables
        }
        return [
            DatasetUse(
                use.dataset,
                use.facets,
                {
                    **read_facet(read.get(use.dataset), nothing=nothing),
                    **assertions_facet(checked.get(use.dataset, ())),
                },
            )
            for use in uses
        ]

    def sql(self, data: Any, dataset_name: str) -> Facets:
        """The SQL of a whole table; none for what is found by inspection."""
        if not isinstance(data, ir.Table) or data.op().find(ops.InMemoryTable):
            return {}
        dataset = self._names.dataset(dataset_name)
        backend = _open_warehouse(dataset)

        def compile_sql() -> str:
            return str(ibis.to_sql(data, dialect="duckdb", pretty=True))

        query = compile_sql() if backend is None else remembered(backend, f"SQL of {dataset_name}", data, compile_sql)
        return facet("sql", {"query": query, "dialect": "duckdb"})

    def _find_change(self, name: str, dataset: Any, columns: Mapping[str, str]) -> Facets:
        """What is about to happen to a table, as far as it is known before: servers hold that to be part of a version.

        Whether a mart is there is not asked for: it could mean to wait for Postgres, which the save does anyway.
        """
        if name not in self._changes:
            known = None
            if isinstance(dataset, WarehouseDataset) and (backend := _open_warehouse(dataset)) is not None:
                schema, _, table = dataset.qualified_name.partition(".")
                known = dict(relation_catalog.columns_of(backend, schema, table))
            if known == {} or (isinstance(dataset, MartDataset) and not dataset.database.is_made):
                self._changes[name] = "CREATE"
            elif known and columns and known != columns:
                self._changes[name] = "ALTER"
            elif isinstance(dataset, MaterialisedDataset | MartDataset) and self._is_full_refresh:
                self._changes[name] = "OVERWRITE"
            else:
                self._changes[name] = None
        change = self._changes[name]
        return facet("lifecycleStateChange", {"lifecycleStateChange": change}) if change else {}

    def _column_lineage(self, data: ir.Table) -> Facets:
        if data.op().find(ops.InMemoryTable):
            return {}
        structure = hash_structure(data)
        try:
            lineage = trace_columns(data) if structure is None else _trace_kept(structure, data)
        except LakeError:
            return {}
        names = {name_leaf(leaf): self._names.of_leaf(leaf)[0] for leaf in leaves(data)}
        return column_lineage_facet(
            lineage, names, rows_with_each_column=self._settings.indirect_inputs == "with_each_column"
        )

    def _version_now(self, dataset: Any) -> str | None:
        backend = _open_warehouse(dataset)
        try:
            return None if backend is None else version_of(backend, dataset)
        except duckdb.CatalogException:
            # There is no such table, or no state yet.
            return None

    def _use(self, name: DatasetName, dataset: Any, columns: Mapping[str, str], *, version: bool = True) -> DatasetUse:
        descriptions = getattr(dataset, "column_descriptions", {})
        text = getattr(dataset, "description", _RAW_DESCRIPTION if name.kind == "FILE" else None)
        layer = "raw" if dataset is None and name.kind == "FILE" else _layer(dataset)
        facets: Facets = {}
        if columns:
            facets |= schema_facet(columns, descriptions)
        if text:
            facets |= facet("documentation", {"description": text})
        if layer:
            facets |= tags_facet({"layer": layer})
        facets |= ownership_facet(self._settings.owners)
        if version:
            if name not in self._versions and dataset is not None and name.kind != "FILE":
                self._versions[name] = self._version_now(dataset)
            facets |= version_facet(self._versions.get(name))
        return DatasetUse(name, facets)


def _trace_kept(structure: str, data: ir.Table) -> TableLineage:
    return resident.kept(("columns", structure), lambda: trace_columns(data))


def _spell_columns(dataset: Any, schema: ibis.Schema) -> dict[str, str]:
    """Types as the dataset's own system spells them; those of raw files as DuckDB reads them."""
    if isinstance(dataset, WarehouseDataset | MartDataset):
        return {column.name: column.kind for column in dataset.describe_columns(schema)}
    return {name: spell_type(kind) for name, kind in schema.items()}


def _add_columns(columns: dict[str, str], more: Mapping[str, str]) -> None:
    """Files may have one column in several types."""
    for name, kind in more.items():
        known = columns.get(name, kind).split(" | ")
        columns[name] = " | ".join(sorted({*known, kind}))


def _layer(dataset: Any) -> str | None:
    layer = ((getattr(dataset, "metadata", None) or {}).get("kedro-viz") or {}).get("layer")
    return None if layer is None else str(layer)


def _open_warehouse(dataset: Any) -> Any:
    """The warehouse of a dataset if this process has it open: lineage opens nothing, and waits for nobody."""
    config = getattr(dataset, "warehouse_config", None)
    return None if config is None else warehouse.writable(config)
