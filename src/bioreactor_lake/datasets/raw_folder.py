"""The raw folder: which files lie in it, and what an inspection of each finds."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.parquet_rows import list_paths, partition_keys, select_rows
from bioreactor_lake.datasets.preview import show_reason, show_rows
from bioreactor_lake.errors import LakeError, NothingToIngest

logger = logging.getLogger(__name__)

FACTS = pa.schema(
    [
        ("path", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_at", pa.timestamp("us")),
        ("content_hash", pa.string()),
        ("schema_id", pa.string()),
        ("rules_hash", pa.string()),
        ("batch_ids", pa.list_(pa.string())),
        ("rows_accepted", pa.int64()),
        ("rows_rejected", pa.int64()),
        ("ts_min", pa.timestamp("us")),
        ("ts_max", pa.timestamp("us")),
        ("reason", pa.string()),
    ]
)


@dataclass
class FoundFile:
    """A raw file as it was found: its path under the raw folder, its state on disk, and what was found in it."""

    path: str
    location: Path
    stat: os.stat_result
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether nothing was found yet that keeps the file from being read."""
        return "reason" not in self.facts


class RawFolder:
    """The files of a folder, found when it is made.

    Args:
        root: The folder.
        ignore: Name patterns of files that are no raw files, such as unfinished copies.
        backend: DuckDB connection that reads them.
    """

    def __init__(self, root: Path, ignore: Sequence[str], backend: Any) -> None:
        self._root = root
        self._backend = backend
        self.files = _find(root, ignore)

    def inspect(self, summarise: Callable[[ir.Table], ir.Table]) -> ir.Table:
        """Look into every file. Grain: one row per file, with `reason` where it cannot be taken in.

        Files of one schema are read in one query; where that fails, one by one, so that a bad file stands alone.

        Args:
            summarise: From the rows of files of one schema (with `source_file`) to one row per `source_file` that
                has rows. An `UnreadableFile` that it raises is the reason of all files of that schema.

        Raises:
            NothingToIngest: The folder holds no raw file.
        """
        if not self.files:
            raise NothingToIngest(
                f"No raw file was found in {self._root}.",
                kept="Every table is as it was.",
                next_step="Put Parquet files there, or set BIOREACTOR_LAKE_RAW to the folder that has them.",
            )
        for file in self.files:
            self._hash(file)
        for names_and_types, keys, files in self._by_schema():
            self._summarise(summarise, names_and_types, keys, files)
        for file in self.files:
            if not _same(file.stat, file.location):
                file.facts["reason"] = "changed while it was read: it is looked at again in the next run"
        rows = [{name: file.facts.get(name) for name in FACTS.names} for file in self.files]
        return self._as_table(pa.Table.from_pylist(rows, schema=FACTS))

    def _hash(self, file: FoundFile) -> None:
        file.facts |= {"path": file.path, "size_bytes": file.stat.st_size, "modified_at": _modified_at(file)}
        try:
            with file.location.open("rb") as stream:
                file.facts["content_hash"] = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            file.facts["reason"] = f"cannot be read: {error.strerror}; check its permissions and the disk"

    def _by_schema(self) -> list[tuple[list[tuple[str, str]], tuple[str, ...], list[FoundFile]]]:
        """Sound files grouped by column names, DuckDB types and partition keys."""
        footers: dict[tuple[Any, ...], list[FoundFile]] = defaultdict(list)
        for file, footer in self._footers([file for file in self.files if file.sound]):
            if doubled := _differing_in_case(footer):
                first, second = doubled
                file.facts["reason"] = f"columns {first!r} and {second!r} differ in case only: rename one of them"
            else:
                footers[footer, partition_keys(file.path)].append(file)
        groups: dict[tuple[Any, ...], list[FoundFile]] = defaultdict(list)
        for (_, keys), files in footers.items():
            described = self._backend.raw_sql(f"DESCRIBE {select_rows(self._root, [files[0].path], keys)}").fetchall()
            groups[tuple((name, kind) for name, kind, *_ in described), keys].extend(files)
        return [(list(schema), keys, files) for (schema, keys), files in groups.items()]

    def _footers(self, files: list[FoundFile]) -> list[tuple[FoundFile, tuple[Any, ...]]]:
        try:
            return self._read_footers(files)
        except duckdb.Error:
            readable = []
            for file in files:
                try:
                    readable += self._read_footers([file])
                except duckdb.Error as error:
                    file.facts["reason"] = _why_not_parquet(file.location, error)
            return readable

    def _read_footers(self, files: list[FoundFile]) -> list[tuple[FoundFile, tuple[Any, ...]]]:
        if not files:
            return []
        source = list_paths(self._root, [file.path for file in files])
        rows = self._backend.raw_sql(
            "SELECT file_name, name, type, num_children, CAST(logical_type AS VARCHAR), converted_type, type_length "
            f"FROM parquet_schema({source})"
        ).fetchall()
        by_name: dict[str, list[Any]] = defaultdict(list)
        for name, *element in rows:
            by_name[name].append(tuple(element))
        return [(file, tuple(by_name[str(file.location)])) for file in files]

    def _summarise(
        self,
        summarise: Callable[[ir.Table], ir.Table],
        names_and_types: list[tuple[str, str]],
        keys: tuple[str, ...],
        files: list[FoundFile],
    ) -> None:
        schema_id = _digest(names_and_types, keys)
        rows = self._backend.sql(select_rows(self._root, [files[0].path], keys))
        try:
            rules_hash = _digest(self._backend.compile(summarise(ibis.table(rows.schema(), name="file"))))
        except LakeError as error:
            for file in files:
                file.facts |= {"schema_id": schema_id, "reason": _as_reason(error)}
            return
        for file in files:
            file.facts |= {"schema_id": schema_id, "rules_hash": rules_hash, "reason": "it has no rows"}
        try:
            self._read(summarise, keys, files)
        except duckdb.Error:
            for file in files:
                try:
                    self._read(summarise, keys, [file])
                except duckdb.Error as error:
                    file.facts["reason"] = f"its data cannot be read ({_first_line(error)}): write or copy it again"

    def _read(self, summarise: Callable[[ir.Table], ir.Table], keys: tuple[str, ...], files: list[FoundFile]) -> None:
        rows = self._backend.sql(select_rows(self._root, [file.path for file in files], keys))
        by_path = {file.path: file for file in files}
        cursor = self._backend.raw_sql(self._backend.compile(summarise(rows)))
        names = [column[0] for column in cursor.description]
        for values in cursor.fetchall():
            found = dict(zip(names, values, strict=True))
            facts = by_path[found.pop("source_file")].facts
            facts.pop("reason", None)
            if (conflict := found.pop("partition_conflict")) is not None:
                facts["reason"] = conflict
            else:
                facts |= found

    def _as_table(self, facts: pa.Table) -> ir.Table:
        self._backend.con.register("inspected_arrow", facts)
        self._backend.raw_sql("CREATE OR REPLACE TEMP TABLE inspected_raw_files AS FROM inspected_arrow")
        self._backend.con.unregister("inspected_arrow")
        return self._backend.table("inspected_raw_files", database=("temp", "main"))


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
        self._path = Path(path)
        self._config = warehouse
        self._ignore = tuple(ignore)
        self.metadata = metadata

    def load(self) -> RawFolder:
        """The folder as it is now."""
        return RawFolder(self._path, self._ignore, warehouse.connect(self._config, write=True))

    def save(self, data: None) -> None:
        """Refused: raw files are what the instruments wrote.

        Raises:
            LakeError: Always.
        """
        raise LakeError("Raw files are never written by the lake.", next_step="Save to another dataset.")

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first files, for Kedro-Viz, or why there are none."""
        try:
            files = _find(self._path, self._ignore)[:nrows]
        except LakeError as error:
            return show_reason(error)
        names = ["path", "size_bytes", "modified_at"]
        return show_rows(names, [(file.path, file.stat.st_size, _modified_at(file)) for file in files])

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path), "ignore": self._ignore}

    def _exists(self) -> bool:
        return self._path.is_dir()


def _find(root: Path, ignore: Sequence[str]) -> list[FoundFile]:
    def refuse(error: OSError) -> None:
        if Path(error.filename) != root:
            raise LakeError(
                f"The raw folder {error.filename} cannot be listed: {error.strerror}.",
                kept="Nothing was changed.",
                next_step="Give the lake the right to read it.",
            ) from error

    files = []
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        for name in sorted(names):
            if name.startswith((".", "_")) or any(fnmatch.fnmatch(name, pattern) for pattern in ignore):
                continue
            location = Path(folder, name)
            try:
                stat = location.stat()
            except OSError as error:
                logger.warning("%s went away while the folder was listed (%s).", location, error.strerror)
                continue
            files.append(FoundFile(location.relative_to(root).as_posix(), location, stat))
    return files


def _modified_at(file: FoundFile) -> datetime:
    return datetime.fromtimestamp(file.stat.st_mtime, UTC).replace(tzinfo=None)


def _same(stat: os.stat_result, location: Path) -> bool:
    try:
        now = location.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns, stat.st_ino) == (now.st_size, now.st_mtime_ns, now.st_ino)


def _differing_in_case(footer: tuple[Any, ...]) -> tuple[str, str] | None:
    """Two top-level columns that DuckDB cannot tell apart, or None."""
    seen: dict[str, str] = {}
    position = 1
    for _ in range(footer[0][2] or 0):
        name = footer[position][0]
        if (other := seen.setdefault(name.lower(), name)) is not name:
            return other, name
        position = _next_sibling(footer, position)
    return None


def _next_sibling(footer: tuple[Any, ...], position: int) -> int:
    children = footer[position][2] or 0
    position += 1
    for _ in range(children):
        position = _next_sibling(footer, position)
    return position


def _why_not_parquet(location: Path, error: Exception) -> str:
    with location.open("rb") as stream:
        start = stream.read(4)
    if not start:
        return "the file is empty (0 bytes): write or copy it again"
    if start != b"PAR1":
        return "it is not a Parquet file: convert it, or move it out of the raw folder"
    return f"the file is cut off or damaged ({_first_line(error)}): wait until it is whole, or copy it again"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].split(": ", 1)[-1]


def _as_reason(error: LakeError) -> str:
    return f"{error.what}: {error.next_step}" if error.next_step else error.what


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
