"""The inspection of raw files: what is known of them, what has to be read, and what was found."""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from bioreactor_lake.datasets.expressions import schema_of
from bioreactor_lake.datasets.footers import differing_in_case, first_line, why_not_parquet
from bioreactor_lake.datasets.found_files import FoundFile, current_key, find_files
from bioreactor_lake.datasets.parquet_rows import list_paths, partition_keys, select_rows
from bioreactor_lake.errors import LakeError, NothingToIngest
from bioreactor_lake.sql import literal

Summarise = Callable[[ir.Table], ir.Table]

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
        # What tells at the next run whether to look again; kept apart from the manifest.
        ("location", pa.string()),
        ("mtime_ns", pa.int64()),
        ("ctime_ns", pa.int64()),
        ("inode", pa.uint64()),
        ("settled", pa.bool_()),
    ]
)
_KNOWN = ("schema_id", "rules_hash", "batch_ids", "rows_accepted", "rows_rejected", "ts_min", "ts_max", "reason")
_CHANGED = "changed while it was read: it is looked at again in the next run"
_KEY = ("size_bytes", "mtime_ns", "ctime_ns", "inode")
# A file written less than this before it was hashed could change once more within its time stamp's grain.
_SETTLING_SECONDS = 2


class RawFolder:
    """The files of a folder, found when it is made.

    Args:
        root: The folder.
        ignore: Name patterns of files that are no raw files, such as unfinished copies.
        backend: DuckDB connection that reads them, of the warehouse with the manifest.
        verify: Whether to hash every file, even where nothing points to a change.
    """

    def __init__(self, root: Path, ignore: Sequence[str], backend: Any, *, verify: bool = False) -> None:
        self._root = root
        self._backend = backend
        self._verify = verify
        self.files = find_files(root, ignore)

    def inspect(
        self, summarise: Summarise, *, rules: str = "", variant: Callable[[str], str] | None = None
    ) -> ir.Table:
        """Look into the files that changed. Grain: one row per file, with `reason` where it cannot be taken in.

        What is known of a file is taken over where its size, times and inode are what they were, or else its content
        hash, and where the rules would read it the same way. Files of one schema are read in one query; where that
        fails, one by one, so that a bad file stands alone.

        Args:
            summarise: From the rows of files of one schema (with `source_file`) to one row per `source_file` that
                has rows. An `UnreadableFile` that it raises is the reason of all files of that schema.
            rules: All reading rules in a text: quarantined files are looked at again when it changes.
            variant: What else of a path decides how its file is read.

        Raises:
            NothingToIngest: The folder holds no raw file.
            LakeError: There is no such folder.
        """
        if not self._root.is_dir():
            raise LakeError(
                f"The raw folder {self._root} is not there.",
                kept="Every table is as it was.",
                next_step="Mount it, or set BIOREACTOR_LAKE_RAW to the folder that has the raw files.",
            )
        if not self.files:
            raise NothingToIngest(
                f"No raw file was found in {self._root}.",
                kept="Every table is as it was.",
                next_step="Put Parquet files there, or set BIOREACTOR_LAKE_RAW to the folder that has them.",
            )
        self._rules, self._variant = _digest(rules), variant or (lambda path: "")
        started, known, current = time.time(), self._known(), _CurrentRules(self._backend, summarise)
        for file in self.files:
            before = known.get(file.path)
            self._identify(file, before, started)
            if before is not None and file.to_read:
                self._take_over(file, before, current)
        for names_and_types, keys, files in self._by_schema():
            self._summarise(summarise, names_and_types, keys, files)
        for file in self.files:
            if not file.known and current_key(file.location) != file.key:
                file.facts["reason"] = _CHANGED
            if file.facts.get("reason") is not None:
                file.facts |= {"rules_hash": self._rules, "batch_ids": None, "rows_accepted": None}
        rows = [{name: file.facts.get(name) for name in FACTS.names} for file in self.files]
        return self._as_table(pa.Table.from_pylist(rows, schema=FACTS))

    def _known(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of the files that were there last time, by path."""
        try:
            cursor = self._backend.raw_sql(
                "SELECT f.*, k.mtime_ns, k.ctime_ns, k.inode, k.settled FROM raw.files AS f "
                "JOIN lake_state.file_keys AS k USING (path) WHERE f.status IN ('accepted', 'quarantined')"
            )
        except duckdb.CatalogException:
            return {}
        names = [column[0] for column in cursor.description]
        return {row["path"]: row for row in (dict(zip(names, values, strict=True)) for values in cursor.fetchall())}

    def _identify(self, file: FoundFile, before: dict[str, Any] | None, started: float) -> None:
        size, mtime_ns, ctime_ns, inode = file.key
        file.facts |= {
            "path": file.path, "size_bytes": size, "location": file.location.as_posix(),
            "modified_at": file.modified_at,
            "mtime_ns": mtime_ns, "ctime_ns": ctime_ns, "inode": inode,
            "settled": max(mtime_ns, ctime_ns) / 1e9 < started - _SETTLING_SECONDS,
        }  # fmt: skip
        trusted = before is not None and before["settled"] and before["content_hash"] is not None and not self._verify
        if trusted and before is not None and file.key == tuple(before[name] for name in _KEY):
            file.facts |= {"content_hash": before["content_hash"], "settled": True}
            return
        try:
            with file.location.open("rb") as stream:
                file.facts["content_hash"] = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            file.facts["reason"] = f"cannot be read: {error.strerror}; check its permissions and the disk"

    def _take_over(self, file: FoundFile, before: dict[str, Any], current: _CurrentRules) -> None:
        if file.facts["content_hash"] != before["content_hash"]:
            return
        if before["status"] == "accepted":
            rules_hash = current.hash(before["schema_id"])
            same = rules_hash is not None and before["rules_hash"] == self._mark(rules_hash, file.path)
        else:
            # What a passing fault of a disk set aside is looked at again on demand.
            same = before["rules_hash"] == self._rules and not self._verify and _CHANGED not in before["reason"]
        if same:
            file.known = True
            file.facts |= {name: before[name] for name in _KNOWN}

    def _mark(self, rules_hash: str, path: str) -> str:
        """The rules that a file is read by, with what its path adds to them."""
        values = [folder for folder in path.split("/")[:-1] if partition_keys(f"{folder}/")]
        other = self._variant(path)
        return f"{rules_hash}-{_digest(values, other)}" if values or other else rules_hash

    def _by_schema(self) -> list[tuple[list[tuple[str, str]], tuple[str, ...], list[FoundFile]]]:
        """Sound files grouped by column names, DuckDB types and partition keys."""
        footers: dict[tuple[Any, ...], list[FoundFile]] = defaultdict(list)
        for file, footer in self._footers([file for file in self.files if file.to_read]):
            if doubled := differing_in_case(footer):
                first, second = doubled
                file.facts["reason"] = f"columns {first!r} and {second!r} differ in case only: rename one of them"
            else:
                footers[footer, partition_keys(file.path)].append(file)
        groups: dict[tuple[Any, ...], list[FoundFile]] = defaultdict(list)
        for (_, keys), files in footers.items():
            query = select_rows(self._root, [files[0].path], keys)
            try:
                described = self._backend.raw_sql(f"DESCRIBE {query}").fetchall()
            except duckdb.Error as error:
                _blame_the_machine(error)
                for file in files:
                    file.facts["reason"] = f"its columns cannot be read ({first_line(error)}): write it again"
                continue
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
                    _blame_the_machine(error)
                    file.facts["reason"] = why_not_parquet(file.location, error)
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
        summarise: Summarise,
        names_and_types: list[tuple[str, str]],
        keys: tuple[str, ...],
        files: list[FoundFile],
    ) -> None:
        schema_id = _digest(names_and_types, keys)
        rows = self._backend.sql(select_rows(self._root, [files[0].path], keys))
        try:
            rules_hash = hash_rules(self._backend, summarise, rows.schema())
        except LakeError as error:
            for file in files:
                file.facts |= {"schema_id": schema_id, "reason": _as_reason(error)}
            return
        for file in files:
            mark = self._mark(rules_hash, file.path)
            file.facts |= {"schema_id": schema_id, "rules_hash": mark, "reason": "it has no rows"}
        try:
            self._read(summarise, keys, files)
        except duckdb.Error:
            for file in files:
                try:
                    self._read(summarise, keys, [file])
                except duckdb.Error as error:
                    _blame_the_machine(error)
                    file.facts["reason"] = f"its data cannot be read ({first_line(error)}): write or copy it again"

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


class _CurrentRules:
    """The rules that files of a known schema would be read by now."""

    def __init__(self, backend: Any, summarise: Summarise) -> None:
        self._backend = backend
        self._summarise = summarise
        self._hashes: dict[str, str | None] = {}

    def hash(self, schema_id: str) -> str | None:
        """The hash of the rules, or None where they no longer read such files."""
        if schema_id not in self._hashes:
            columns = self._backend.raw_sql(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() "
                f"AND schema_name = 'raw' AND table_name = {literal('parquet_' + schema_id)} ORDER BY column_index"
            ).fetchall()
            schema = schema_of(self._backend, columns)
            try:
                self._hashes[schema_id] = hash_rules(self._backend, self._summarise, schema)
            except LakeError:
                self._hashes[schema_id] = None
        return self._hashes[schema_id]


def hash_rules(backend: Any, summarise: Summarise, schema: ibis.Schema) -> str:
    """Hash of everything that decides how files of a schema are read, down to the rules of staging."""
    return _digest(backend.compile(summarise(ibis.table(schema, name="file"))))


def _blame_the_machine(error: duckdb.Error) -> None:
    """Raise what is no fault of the file that was being read, so that it is not quarantined for it."""
    if isinstance(error, duckdb.OutOfMemoryException | duckdb.InterruptException) or "No space left" in str(error):
        raise LakeError(
            f"Inspecting the raw files failed: {error}",
            kept="Nothing was changed.",
            next_step="Raise warehouse.memory_limit in conf/*/globals.yml or make room on the disk, then run again.",
        ) from error


def _as_reason(error: LakeError) -> str:
    return f"{error.what}: {error.next_step}" if error.next_step else error.what


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
