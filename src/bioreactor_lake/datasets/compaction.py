"""Compacted copies of many small raw files, which the views read in place of their originals.

An original stays where it is and what it is: the manifest, fingerprints and counts are those of the originals, and a
copy counts only as long as every original in it is accepted with the content that was copied. It lies in a folder
beside the warehouse, with the rows of the originals as they are and the path of each in `source_file`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote as quote_url

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.parquet_rows import partition_keys, select_rows
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.runs import new_run_id
from bioreactor_lake.sql import literal

SMALL_BYTES = 100 * 2**20
"""Files of this size and more scan well as they are."""
FAR_BYTES = 10 * 10**6
"""Files of less than this are far from what scans well."""
_TARGET_BYTES = 400 * 2**20
# Fewer files than this are read soon enough, however small.
_MANY = 1000
_TABLE = "lake_state.compacted_files"


@dataclass(frozen=True)
class Copy:
    """One compacted file.

    Args:
        location: Its path.
        originals: Paths of the raw files in it, under the raw folder.
        bytes_before: Size of the originals.
        bytes_after: Its own size.
    """

    location: Path
    originals: tuple[str, ...]
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class _Original:
    path: str
    schema_id: str
    path_column: str
    folder: str
    size_bytes: int
    rows: int


def forget_broken(backend: Any) -> bool:
    """Let go of copies that no longer stand for their originals, or are not as they were written.

    Returns:
        Whether there were any: the views have to be defined anew.
    """
    # Kept are those whose originals are all accepted, with the content and the schema that were copied.
    known = backend.raw_sql(
        f"SELECT location, any_value(c.size_bytes), any_value(c.mtime_ns), count(f.path) = count(*) FROM {_TABLE} AS c "
        "LEFT JOIN raw.files AS f ON f.path = c.path AND f.content_hash = c.content_hash "
        "AND f.schema_id = c.schema_id AND f.status = 'accepted' GROUP BY location"
    ).fetchall()
    broken = [location for location, size, mtime_ns, whole in known if not whole or _stat(location) != (size, mtime_ns)]
    if broken:
        backend.raw_sql(f"DELETE FROM {_TABLE} WHERE location IN ({', '.join(map(literal, broken))})")
    return bool(broken)


def is_used(backend: Any) -> bool:
    """Whether any file is read from a copy."""
    return backend.raw_sql(f"SELECT 1 FROM {_TABLE} LIMIT 1").fetchone() is not None


def count_small(backend: Any) -> int:
    """Accepted raw files that are far too small and not compacted, or none where they are few."""
    (found,) = backend.raw_sql(
        f"SELECT count(*) FROM raw.files WHERE status = 'accepted' AND size_bytes < {FAR_BYTES} "
        f"AND path NOT IN (SELECT path FROM {_TABLE})"
    ).fetchone()
    return int(found) if found > _MANY else 0


def copies_of(backend: Any, schema_id: str) -> tuple[list[str], set[str]]:
    """The compacted files of a schema, and the paths of the originals in them."""
    rows = backend.raw_sql(f"SELECT location, path FROM {_TABLE} WHERE schema_id = {literal(schema_id)}").fetchall()
    return sorted({location for location, _ in rows}), {path for _, path in rows}


def read_copies(locations: Sequence[str]) -> str:
    """What a query selects the rows of compacted files from."""
    # Names of their folders are no columns.
    return f"read_parquet([{', '.join(map(literal, locations))}], hive_partitioning = false)"


def write_copies(
    backend: Any, config: warehouse.WarehouseConfig, *, finished_days: float, by: Literal["date", "batch"]
) -> Iterator[Copy]:
    """Copy small files of finished batches together; each copy is checked against its originals and then kept.

    Args:
        backend: The warehouse, open for writing.
        config: Where it and the raw files are.
        finished_days: A batch is finished when none of its files was written for so long.
        by: Whether a folder holds the files of a month or of a batch.

    Raises:
        LakeError: A copy does not hold what its originals hold; it was deleted.
    """
    store = warehouse.raw_store(config)
    home = folder_of(config)
    candidates = _candidates(backend, finished_days, by)
    for (schema_id, column, folder), alike in groupby(candidates, key=lambda o: (o.schema_id, o.path_column, o.folder)):
        for group in _fill(list(alike)):
            location = home / schema_id / folder / f"{new_run_id()}.parquet"
            paths = [original.path for original in group]
            rows = select_rows(store.root, paths, partition_keys(paths[0]), column)
            try:
                _write(backend, rows, location)
                _compare(backend, rows, location, sum(original.rows for original in group))
                _keep(backend, store.current_keys(paths), paths, location)
            except BaseException:
                location.unlink(missing_ok=True)
                raise
            size = sum(original.size_bytes for original in group)
            yield Copy(location, tuple(paths), size, location.stat().st_size)


def delete_forgotten(backend: Any, config: warehouse.WarehouseConfig) -> int:
    """Delete files beside the warehouse that no view reads any more; how many there were."""
    kept = {location for (location,) in backend.raw_sql(f"SELECT DISTINCT location FROM {_TABLE}").fetchall()}
    unused = [path for path in folder_of(config).rglob("*.parquet*") if path.as_posix() not in kept]
    for path in unused:
        path.unlink()
    return len(unused)


def folder_of(config: warehouse.WarehouseConfig) -> Path:
    """The folder of a warehouse's compacted files: beside it, so that it moves and goes with it."""
    path = Path(config["filepath"])
    return path.with_name(f"{path.stem}.compacted")


def _candidates(backend: Any, finished_days: float, by: str) -> list[_Original]:
    folder = "coalesce(strftime(f.ts_min, 'month=%Y-%m'), 'month=none')"
    if by == "batch":
        folder = "CASE WHEN len(f.batch_ids) = 1 THEN 'batch=' || f.batch_ids[1] ELSE 'batches' END"
    found = backend.raw_sql(
        f"""WITH young AS (
            SELECT list(DISTINCT b.batch_id) AS ids FROM raw.files AS f, unnest(f.batch_ids) AS b (batch_id)
            WHERE f.status = 'accepted'
                AND f.modified_at > make_timestamp(epoch_us(now())) - INTERVAL 1 HOUR * {finished_days * 24})
        SELECT f.path, f.schema_id, k.path_column, {folder} AS folder, f.size_bytes, f.rows_accepted + f.rows_rejected
        FROM raw.files AS f JOIN lake_state.file_keys AS k USING (path), young
        WHERE f.status = 'accepted' AND f.size_bytes < {SMALL_BYTES}
            AND NOT list_has_any(f.batch_ids, coalesce(young.ids, []))
            AND f.path NOT IN (SELECT path FROM {_TABLE})
        ORDER BY f.schema_id, k.path_column, folder, f.batch_ids, f.path"""
    ).fetchall()
    return [
        _Original(path, schema_id, column, quote_url(folder, safe="= "), size, rows)
        for path, schema_id, column, folder, size, rows in found
    ]


def _fill(originals: Sequence[_Original]) -> Iterator[list[_Original]]:
    """Groups of about the size that scans best; one file by itself is no group."""
    group: list[_Original] = []
    for original in originals:
        if group and sum(other.size_bytes for other in group) + original.size_bytes > _TARGET_BYTES:
            if len(group) > 1:
                yield group
            group = []
        group.append(original)
    if len(group) > 1:
        yield group


def _write(backend: Any, rows: str, location: Path) -> None:
    location.parent.mkdir(parents=True, exist_ok=True)
    backend.raw_sql(f"COPY ({rows}) TO {literal(location.as_posix())} (FORMAT parquet, COMPRESSION zstd)")
    with location.open("rb") as stream:
        os.fsync(stream.fileno())


def _compare(backend: Any, rows: str, location: Path, expected_rows: int) -> None:
    copy = f"FROM {read_copies([location.as_posix()])}"
    same_columns = backend.raw_sql(f"DESCRIBE {rows}").fetchall() == backend.raw_sql(f"DESCRIBE {copy}").fetchall()
    digest = "SELECT count(*), sum(CAST(hash(r) AS HUGEINT)) FROM"
    before, after = (backend.raw_sql(f"{digest} ({query}) AS r").fetchone() for query in (rows, f"SELECT * {copy}"))
    if not same_columns or before != after or before[0] != expected_rows:
        raise LakeError(
            f"The compacted file {location} does not hold what its originals hold.",
            kept="It was deleted, and the originals are read as before.",
            next_step="Take changed files in (kedro run) and try again; if it stays, report the files' column types.",
        )


def _keep(backend: Any, keys: dict[str, str], paths: list[str], location: Path) -> None:
    """Note the copy, unless an original changed while it was copied."""
    known = dict(
        backend.raw_sql(
            f"SELECT path, key FROM lake_state.file_keys WHERE path IN ({', '.join(map(literal, paths))})"
        ).fetchall()
    )
    if changed := [path for path in paths if keys.get(path) != known[path]]:
        raise LakeError(
            f"The raw file {changed[0]} changed since it was inspected.",
            kept="The originals are read as before.",
            next_step="Take it in (kedro run) and try again.",
        )
    size, mtime_ns = _stat(location.as_posix()) or (0, 0)
    backend.raw_sql(
        f"INSERT INTO {_TABLE} SELECT path, content_hash, schema_id, {literal(location.as_posix())}, {size}, "
        f"{mtime_ns} FROM raw.files WHERE status = 'accepted' AND path IN ({', '.join(map(literal, paths))})"
    )


def _stat(location: str) -> tuple[int, int] | None:
    try:
        stat = Path(location).stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
