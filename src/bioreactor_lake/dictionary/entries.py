"""What there is to say of every table, gathered from where it is said. Neither raw files nor a warehouse are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from bioreactor_lake.datasets.extracted_tables import ExtractedTableDataset
from bioreactor_lake.datasets.history import NODE_RUNS, RUNS
from bioreactor_lake.datasets.landed_files import LandedFilesDataset
from bioreactor_lake.datasets.manifest import ManifestDataset
from bioreactor_lake.datasets.mart_shapes import PLAIN_FILE
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.preview import ColumnText
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.datasets.tracing import collect_from_code
from bioreactor_lake.lineage.graph import LineageGraph, link_tables
from bioreactor_lake.lineage.origins import ROWS, ColumnOrigin
from bioreactor_lake.postgres import data_quality, run_history, set_aside
from bioreactor_lake.quality.configuration import QualitySettings
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.tags import Tag

RAW_FILES = "raw files"
"""The table that stands for all raw files, whatever their schemas are."""


# A file that has all that a file may have.
_FILE = {**PLAIN_FILE, "site": "string", "value": "string", "unit": "string", "quality": "string"}


@dataclass(frozen=True)
class Column:
    """A column.

    Args:
        name: Its name.
        kind: Its type as the database spells it.
        unit: The unit of its numbers, or the zone of its times; empty where it has none.
        description: What it means.
        expression: How it is computed; empty where no expression does.
        origins: The columns that its values come from.
        dependents: The columns of other tables that its values go into.
    """

    name: str
    kind: str
    unit: str
    description: str
    expression: str = ""
    origins: tuple[ColumnOrigin, ...] = ()
    dependents: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Entry:
    """A table.

    Args:
        name: Schema and name.
        dataset: What the catalog calls it; empty where it does not know it.
        kind: `view`, `table` or `mart`.
        description: What one row is.
        columns: Its columns, in order.
        rows: What decides which rows it has.
        expectations: What is expected of it.
    """

    name: str
    dataset: str
    kind: str
    description: str
    columns: tuple[Column, ...]
    rows: tuple[ColumnOrigin, ...] = ()
    expectations: tuple[Expectation, ...] = ()

    @property
    def schema(self) -> str:
        """Its schema."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Dictionary:
    """All that is known.

    Args:
        entries: The tables that pipelines make, in the order in which they are made.
        records: The tables in which runs record what became of them.
        tags: The tags that have a name, a unit and limits.
    """

    entries: tuple[Entry, ...]
    records: tuple[Entry, ...]
    tags: tuple[Tag, ...]


def gather(catalog: CatalogProtocol[Any, Any], pipeline: Pipeline, config_loader: Mapping[str, Any]) -> Dictionary:
    """Gather what is said of every table.

    Args:
        catalog: The datasets, with their descriptions.
        pipeline: All nodes.
        config_loader: Kedro's, for suites, tags and units.

    Raises:
        LakeError: The configuration is not understood.
    """
    settings = QualitySettings.load(config_loader)
    units: Mapping[str, str] = config_loader["globals"].get("units") or {}
    expressions = collect_from_code(catalog, pipeline, _FILE, files=RAW_FILES)
    graph = link_tables(expressions)
    entries = []
    for node in pipeline.nodes:
        for output in node.outputs:
            dataset = catalog[output]
            if not isinstance(dataset, WarehouseDataset | MartDataset):
                continue
            suite = settings.suites.get(output)
            entries.append(
                Entry(
                    dataset.qualified_name,
                    output.partition("@")[0],
                    dataset.kind if isinstance(dataset, WarehouseDataset) else "mart",
                    dataset.description,
                    _columns(dataset, expressions.get(dataset.qualified_name), graph, units),
                    graph.tables[dataset.qualified_name].rows if dataset.qualified_name in graph.tables else (),
                    suite.expectations if suite is not None else (),
                )
            )
    return Dictionary(tuple(entries), tuple(_records(units)), tuple(settings.tags.values()))


def _columns(dataset: Any, data: ir.Table | None, graph: LineageGraph, units: Mapping[str, str]) -> tuple[Column, ...]:
    if data is None:
        by_inspection = ManifestDataset | LandedFilesDataset | ExtractedTableDataset
        kinds = dataset.column_types if isinstance(dataset, by_inspection) else {}
        described = [ColumnText(name, kind, dataset.column_descriptions.get(name, "")) for name, kind in kinds.items()]
    else:
        described = dataset.describe_columns(data.schema())
    return tuple(_column(column, dataset.qualified_name, graph, units) for column in described)


def _column(column: ColumnText, table: str, graph: LineageGraph, units: Mapping[str, str]) -> Column:
    made = graph.tables[table].columns[column.name] if table in graph.tables else None
    dependents = [
        (name, own)
        for name, traced in graph.tables.items()
        for own, lineage in traced.columns.items()
        if any(one.is_direct and (one.table, one.column) == (table, column.name) for one in lineage.origins)
    ]
    return Column(
        column.name,
        column.kind,
        units.get(column.name, ""),
        column.description,
        made.expression if made is not None else "",
        tuple(one for one in made.origins if one.is_direct) if made is not None else (),
        tuple(dependents),
    )


def _records(units: Mapping[str, str]) -> list[Entry]:
    tables: Sequence[tuple[str, str, str, str, Mapping[str, tuple[str, str]]]] = (
        ("ops.runs", "", "table", "One row per run that has ended; rows are only added", RUNS),
        ("ops.node_runs", "", "table", "One row per run and node that began; rows are only added", NODE_RUNS),
        (run_history.MART, "mart_run_history", "mart", run_history.DESCRIPTION, run_history.COLUMNS),
        (data_quality.MART, "mart_data_quality", "mart", data_quality.DESCRIPTION, data_quality.COLUMNS),
        (set_aside.MART, "mart_set_aside", "mart", set_aside.DESCRIPTION, set_aside.COLUMNS),
    )
    return [
        Entry(
            name,
            dataset,
            kind,
            description,
            tuple(
                Column(column, spelled.partition(" GENERATED")[0], units.get(column, ""), text)
                for column, (spelled, text) in columns.items()
            ),
        )
        for name, dataset, kind, description, columns in tables
    ]


def tables_of(origins: Sequence[ColumnOrigin]) -> list[str]:
    """The tables whose rows a table's rows are made of."""
    return list(dict.fromkeys(one.table for one in origins if one.is_direct and one.column == ROWS))
