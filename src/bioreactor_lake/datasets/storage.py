"""Where the rows of a relation lie, and how much room they take: read from catalogs and kept state, never by a scan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from bioreactor_lake.datasets.extracted_tables import ExtractedTableDataset
from bioreactor_lake.datasets.landed_files import LandedFilesDataset
from bioreactor_lake.datasets.manifest import ManifestDataset
from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.datasets.tables import MaterialisedDataset, RawViewDataset, ViewDataset
from bioreactor_lake.lake.runs import WriteReport
from bioreactor_lake.postgres.storage import find_mart_storage
from bioreactor_lake.sql import literal, quote

_CODECS = 3

Statistics = dict[str, Any]
"""In Kedro-Viz's words: `rows`, `columns` and `file_size`, each where it is known; beside them the `place` of the
table, since the project may look after another lake the next time."""


@dataclass(frozen=True)
class Storage:
    """What is known of a relation without reading it.

    Args:
        place: The DuckDB file, the raw folder or the database, without secrets.
        format: Such as `DuckDB table`.
        size_bytes: Of a DuckDB table the blocks that it has a part in, of a mart its rows and indexes, of the raw rows
            their files; None for a view.
        compression: The commonest codecs; None where there is nothing to compress or it is not known.
        rows: As the lake keeps count; None for a view whose rows nobody counts.
        run_id: The run that last wrote it.
        written_at: When, UTC.
    """

    place: str
    format: str
    size_bytes: int | None = None
    compression: str | None = None
    rows: int | None = None
    run_id: str | None = None
    written_at: datetime | None = None


def find_storage(dataset: Any) -> Storage | None:
    """The storage of a relation of the warehouse or of a mart, or None if it is not there.

    Raises:
        LakeError: The warehouse or Postgres cannot be reached.
    """
    if isinstance(dataset, MartDataset):
        return _mart_storage(dataset)
    assert isinstance(dataset, WarehouseDataset)
    if not dataset.exists():
        return None
    backend, name = dataset.connection, dataset.qualified_name
    place = dataset.warehouse_config["filepath"]
    written = backend.raw_sql(
        f"SELECT run_id, written_at FROM lake_state.relations WHERE name = {literal(name)}"
    ).fetchone()
    run_id, written_at = written or (None, None)
    if written_at is not None:
        written_at = written_at.replace(tzinfo=UTC)
    if isinstance(dataset, RawViewDataset):
        folder, files, size, codecs = _raw_files(backend)
        rows = count_rows(dataset)
        return Storage(folder or place, f"Parquet, {files:,} files", size, codecs, rows, run_id, written_at)
    if isinstance(dataset, ViewDataset):
        return Storage(place, "DuckDB view", rows=count_rows(dataset), run_id=run_id, written_at=written_at)
    if isinstance(dataset, MaterialisedDataset) and (kept := dataset.find_files()) is not None:
        folder, files, size = kept
        return Storage(folder, f"Parquet, {files:,} files", size, None, count_rows(dataset), run_id, written_at)
    size, codecs = _blocks(backend, name)
    return Storage(place, "DuckDB table", size, codecs, count_rows(dataset), run_id, written_at)


def count_rows(dataset: WarehouseDataset) -> int | None:
    """The rows of a relation of the warehouse, by what the lake keeps; None for a view that nobody counts.

    The inspection of the raw files counts rows by the rules of staging, so the manifest knows how many a view has; the
    view says in its metadata, as `counted_as`, which column of the manifest that is.
    """
    if isinstance(dataset, ManifestDataset):
        # DuckDB counts by what it keeps of its row groups.
        query = "SELECT count(*) FROM raw.files"
    elif isinstance(dataset, LandedFilesDataset):
        query = "SELECT count(*) FROM landing.files"
    elif isinstance(dataset, ExtractedTableDataset):
        query = f"SELECT count(*) FROM {dataset.qualified_name}"
    elif isinstance(dataset, ViewDataset):
        counted = (dataset.metadata or {}).get("counted_as")
        if counted is None:
            return None
        query = f"SELECT sum({' + '.join(map(quote, counted))}) FROM raw.files WHERE status = 'accepted'"
    else:
        query = f"SELECT sum(rows) FROM lake_state.held WHERE name = {literal(dataset.qualified_name)}"
    (rows,) = dataset.connection.raw_sql(query).fetchone()
    return int(rows or 0)


def find_statistics(
    dataset: Any, columns: int, written: WriteReport | None, known: Statistics | None
) -> Statistics | None:
    """The statistics of a table, view or mart that was just saved; None for any other dataset.

    Args:
        dataset: The dataset.
        columns: How many the saved expression has.
        written: What the save did.
        known: The statistics before; those of a table that was up to date are returned.

    Raises:
        LakeError: Postgres cannot be reached.
    """
    if isinstance(dataset, MartDataset):
        place = dataset.place
    elif isinstance(dataset, WarehouseDataset):
        place = dataset.warehouse_config["filepath"]
    else:
        return None
    # Views are not written when the files beneath them change.
    tables = MartDataset | MaterialisedDataset | LandedFilesDataset | ExtractedTableDataset
    may_skip = isinstance(dataset, tables) and written is not None and written.batches == 0
    if may_skip and known is not None and known.get("place") == place:
        return known
    found: Statistics = {"columns": columns, "place": place}
    if isinstance(dataset, MartDataset):
        stored = _mart_storage(dataset)
        return None if stored is None else {**found, "rows": stored.rows, "file_size": stored.size_bytes}
    if isinstance(dataset, ManifestDataset | LandedFilesDataset | ExtractedTableDataset):
        # It keeps more of a file than the inspection says.
        found["columns"] = len(dataset.column_types)
    # The size of a table is not known before DuckDB's next checkpoint.
    rows = count_rows(dataset)
    return found if rows is None else {**found, "rows": rows}


def _blocks(backend: Any, name: str) -> tuple[int, str | None]:
    """Bytes of the blocks that hold a table, some perhaps shared with other small ones, and its commonest codecs."""
    schema, _, table = name.partition(".")
    segments = f"pragma_storage_info({literal(f'{quote(schema)}.{quote(table)}')})"
    (size,) = backend.raw_sql(
        "SELECT count(DISTINCT block) * (SELECT any_value(block_size) FROM pragma_database_size() "
        f"WHERE database_name = current_database()) FROM (SELECT block_id AS block FROM {segments} WHERE persistent "
        f"UNION ALL SELECT unnest(additional_block_ids) FROM {segments} WHERE persistent) WHERE block >= 0"
    ).fetchone()
    codecs = backend.raw_sql(
        f"SELECT compression FROM {segments} WHERE persistent AND segment_type <> 'VALIDITY' "
        f"GROUP BY compression ORDER BY sum(count) DESC, compression LIMIT {_CODECS}"
    ).fetchall()
    return int(size), ", ".join(codec for (codec,) in codecs) or None


def _raw_files(backend: Any) -> tuple[str | None, int, int, str | None]:
    """Folder, number, bytes, and codec of one, of the accepted raw files."""
    files, size, path, location = backend.raw_sql(
        "SELECT count(*), coalesce(sum(f.size_bytes), 0), min(path), arg_min(location, path) "
        "FROM raw.files AS f LEFT JOIN lake_state.file_keys USING (path) "
        "WHERE status = 'accepted'"
    ).fetchone()
    codecs = None
    if location is not None:
        try:
            found = backend.raw_sql(
                f"SELECT DISTINCT lower(compression) FROM parquet_metadata([{literal(location)}]) ORDER BY 1"
            ).fetchall()
            codecs = ", ".join(codec for (codec,) in found)
        except duckdb.Error:
            pass  # the file is not there at the moment: a run says so
    folder = location.removesuffix(path).rstrip("/") if location else None
    return folder, int(files), int(size), codecs


def _mart_storage(dataset: MartDataset) -> Storage | None:
    database = dataset.impatient_database
    if not database.is_made:
        return None
    schema, _, table = dataset.qualified_name.partition(".")
    found = database.attempt(
        lambda connection: find_mart_storage(connection, dataset.qualified_name, f"{quote(schema)}.{quote(table)}"),
        what="Connecting",
        kept="",
    )
    if found is None:
        return None
    return Storage(
        database.name,
        "Postgres table",
        found.size_bytes,
        found.compression,
        found.rows,
        found.run_id,
        found.published_at,
    )
