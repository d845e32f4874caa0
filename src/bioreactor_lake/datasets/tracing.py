"""What the lake knows for a trace: the expressions of its tables, and the raw files of a batch. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.backends.sql.datatypes import DuckDBType
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline

from bioreactor_lake.datasets import MANIFEST
from bioreactor_lake.datasets.extracted_tables import ExtractedTableDataset
from bioreactor_lake.datasets.landed_files import LandedFilesDataset
from bioreactor_lake.datasets.manifest import AcceptedFilesDataset, ManifestDataset
from bioreactor_lake.datasets.named_batches import confirm_batches
from bioreactor_lake.datasets.parquet_views import PARQUET_VIEW
from bioreactor_lake.errors import LakeError, NothingToIngest
from bioreactor_lake.sql import literal


@dataclass(frozen=True)
class RawFile:
    """A raw file that holds a batch.

    Args:
        table: The view that reads it, which other files of the same schema share.
        path: Its path under the raw folder.
        content_hash: The hash of its content.
        run_id: The run that read it.
    """

    table: str
    path: str
    content_hash: str
    run_id: str


def collect_expressions(
    catalog: CatalogProtocol[Any, Any], pipeline: Pipeline, stand_ins: Mapping[str, Any] | None = None
) -> dict[str, ir.Table]:
    """The expression of every table that nodes compute, by schema and name.

    A node is given stand-ins for the tables that other nodes compute, so they need not be there yet. Only what the raw
    files look like is asked of the warehouse; the manifest is a source, since it is found by inspection.

    Args:
        catalog: The datasets.
        pipeline: The nodes.
        stand_ins: What to give the nodes for datasets that are not to be loaded.

    Raises:
        LakeError: No raw file was read yet, so that nothing is known of them.
    """
    expressions: dict[str, ir.Table] = {}
    known: dict[str, Any] = dict(stand_ins or {})
    for node in pipeline.nodes:
        # What is found by looking at files has no expression.
        found_by_inspection = ManifestDataset | LandedFilesDataset | ExtractedTableDataset
        if any(name in catalog and isinstance(catalog[name], found_by_inspection) for name in node.outputs):
            continue
        found = node.run({name: known[name] if name in known else _load(catalog, name) for name in node.inputs})
        for name, data in found.items():
            qualified = getattr(catalog[name], "qualified_name", None) if name in catalog else None
            if qualified is not None:
                schema, _, table = qualified.partition(".")
                expressions[qualified] = data
                data = ibis.table(data.schema(), name=table, database=schema)
            known[name] = data
    return expressions


def collect_from_code(
    catalog: CatalogProtocol[Any, Any], pipeline: Pipeline, file: Mapping[str, str], *, files: str = "plain_file"
) -> dict[str, ir.Table]:
    """The expression of every table that nodes compute, where neither raw files nor a warehouse need be there.

    Args:
        catalog: The datasets.
        pipeline: The nodes.
        file: The columns of the file that stands for all raw files, with Ibis' types.
        files: What to call the table of it.
    """
    stand_ins: dict[str, Any] = {}
    for name in pipeline.datasets():
        dataset = catalog.get(name) if name in catalog else None
        if isinstance(dataset, AcceptedFilesDataset):
            stand_ins[name] = {"plain": ibis.table(file, name=files)}
        elif isinstance(dataset, ManifestDataset | ExtractedTableDataset):
            schema, _, table = dataset.qualified_name.partition(".")
            kinds = {column: DuckDBType.from_string(kind) for column, kind in dataset.column_types.items()}
            stand_ins[name] = ibis.table(kinds, name=table, database=schema)
    return collect_expressions(catalog, pipeline, stand_ins)


def find_raw_files(catalog: CatalogProtocol[Any, Any], batch: str) -> list[RawFile]:
    """The accepted raw files that hold a batch.

    Raises:
        UsageError: No accepted file holds it.
        LakeError: There is no manifest yet.
    """
    manifest = catalog[MANIFEST]
    manifest.load()
    confirm_batches(manifest, [batch])
    rows = manifest.connection.raw_sql(
        f"SELECT {literal(PARQUET_VIEW)} || schema_id, path, content_hash, run_id FROM raw.files "
        f"WHERE status = 'accepted' AND list_contains(batch_ids, {literal(batch)}) ORDER BY path"
    ).fetchall()
    return [RawFile(f"raw.{view}", *others) for view, *others in rows]


def _load(catalog: CatalogProtocol[Any, Any], name: str) -> Any:
    try:
        return catalog.load(name)
    except (DatasetError, NothingToIngest) as error:
        cause = error if isinstance(error, LakeError) else error.__cause__
        if isinstance(cause, NothingToIngest):
            # A run that finds nothing has done its work; a trace has not.
            raise LakeError(cause.what, next_step=cause.next_step) from error
        raise
