"""The inspection of raw files: what is known of them, what has to be read, and what was found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import duckdb
import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from bioreactor_lake.datasets.expressions import schema_of
from bioreactor_lake.datasets.faults import CHANGED, ask, facts_of, first_line, raise_unless_of_a_file
from bioreactor_lake.datasets.footers import Schema, group_by_schema
from bioreactor_lake.datasets.json_rows import query_rows
from bioreactor_lake.datasets.known_logic import remembered
from bioreactor_lake.datasets.parquet_rows import partition_keys, select_rows
from bioreactor_lake.datasets.relation_catalog import columns_of
from bioreactor_lake.errors import LakeError, NothingToIngest
from bioreactor_lake.lake import resident
from bioreactor_lake.lake.compiled import compile_sql
from bioreactor_lake.raw_store import FoundFile, RawStore
from bioreactor_lake.sql import literal, quote

Summarise = Callable[[ir.Table], ir.Table]

_Known = dict[str, dict[str, Any]]

FACTS = {
    "path": "VARCHAR",
    "size_bytes": "BIGINT",
    "modified_at": "TIMESTAMP",
    "content_hash": "VARCHAR",
    "schema_id": "VARCHAR",
    "rules_hash": "VARCHAR",
    "batch_ids": "VARCHAR[]",
    "rows_accepted": "BIGINT",
    "rows_rejected": "BIGINT",
    "ts_min": "TIMESTAMP",
    "ts_max": "TIMESTAMP",
    "reason": "VARCHAR",
    "location": "VARCHAR",
    "key": "VARCHAR",
    "settled": "BOOLEAN",
    "path_column": "VARCHAR",
}
# For the lake itself, kept apart from the manifest.
_KEPT_APART = ("location", "key", "settled", "path_column")
# A file that was replaced while it was read is most often whole a moment later.
_SECOND_LOOKS = 2
# Stands in the SQL of a summary for the rows of the files that are read.
_ROWS_OF_FILES = "rows of the files that are inspected"
_KNOWN = ("schema_id", "rules_hash", "batch_ids", "rows_accepted", "rows_rejected", "ts_min", "ts_max", "reason")


class RawFolder:
    """The files of a folder or bucket, found when it is made.

    Args:
        store: The place.
        ignore: Name patterns of files that are no raw files, such as unfinished copies.
        backend: DuckDB connection that reads them, of the warehouse with the manifest.
        verify: Whether to hash every file, even where nothing points to a change.
        patience_seconds: As of `Run`.
    """

    def __init__(
        self,
        store: RawStore,
        ignore: Sequence[str],
        backend: Any,
        *,
        verify: bool = False,
        patience_seconds: float = 0,
    ) -> None:
        self._store, self._ignore = store, ignore
        self._backend = backend
        self._verify = verify
        self._patience = patience_seconds
        self.files = store.find_files(ignore)

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
            LakeError: The machine or the network was at fault, so that no file is quarantined for it.
        """
        known = self._known()
        self._pass_over_unfinished(known)
        if not self.files:
            raise NothingToIngest(
                f"No raw file was found in {self._store.root}.",
                kept="Every table is as it was.",
                next_step="Put Parquet files there, or set BIOREACTOR_LAKE_RAW to the folder that has them.",
            )
        self._rules_text, self._rules, self._variant = rules, _digest(rules), variant or (lambda path: "")
        current = _CurrentRules(self._backend, summarise, rules)
        changed = self._look_into(self.files, known, current, summarise)
        for _ in range(_SECOND_LOOKS):
            if changed:
                changed = self._look_into(self._find_again(changed), known, current, summarise)
        for file in changed:
            file.facts["reason"] = CHANGED
        for file in self.files:
            if file.facts.get("reason") is not None:
                file.facts |= {"rules_hash": self._rules, "batch_ids": None, "rows_accepted": None}
        return self._as_table(known)

    def _look_into(
        self, files: list[FoundFile], known: _Known, current: _CurrentRules, summarise: Summarise
    ) -> list[FoundFile]:
        """Find the facts of files; those that became others meanwhile are returned."""
        for file in files:
            before = known.get(file.path)
            self._identify(file, before)
            if before is not None and file.to_read:
                self._take_over(file, before, current)
        read = [file for file in files if file.to_read]
        for schema, keys, alike in group_by_schema(self._backend, self._store, read):
            self._summarise(summarise, schema, keys, alike)
        keys_now = self._store.current_keys([file.path for file in read]) if read else {}
        return [file for file in read if keys_now.get(file.path) != file.key]

    def _pass_over_unfinished(self, known: _Known) -> None:
        """Leave new files to their writers. One that is written over is no longer what the manifest says, and stays."""
        if self._patience:
            self.files = [
                file
                for file in self.files
                if file.path in known or not self._store.is_unfinished(file.path, self._patience)
            ]

    def _find_again(self, files: list[FoundFile]) -> list[FoundFile]:
        """Put files as they are now in the place of what they were; those that are gone are left out."""
        paths = {file.path for file in files}
        again = [file for file in self._store.find_files(self._ignore) if file.path in paths]
        self.files = sorted([*(file for file in self.files if file.path not in paths), *again], key=lambda f: f.path)
        return again

    def _known(self) -> _Known:
        """What the manifest says of the files that were there last time, by path."""
        try:
            cursor = self._backend.raw_sql(_of_manifest([*FACTS, "status"]))
        except (duckdb.CatalogException, duckdb.BinderException):
            # There is none, or one of an earlier version.
            return {}
        names = [column[0] for column in cursor.description]
        return {row["path"]: row for row in (dict(zip(names, values, strict=True)) for values in cursor.fetchall())}

    def _identify(self, file: FoundFile, before: dict[str, Any] | None) -> None:
        file.facts |= {
            "path": file.path, "size_bytes": file.size_bytes, "modified_at": file.modified_at,
            "location": file.location, "key": file.key, "settled": file.settled,
        }  # fmt: skip
        trusted = before is not None and before["settled"] and before["content_hash"] is not None and not self._verify
        if trusted and before is not None and file.key == before["key"]:
            file.facts |= {"content_hash": before["content_hash"], "settled": True}
            return
        try:
            file.facts["content_hash"] = self._store.hash_content(file)
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
            same = before["rules_hash"] == self._rules and not self._verify and CHANGED not in before["reason"]
        if same:
            file.known = True
            file.facts |= {name: before[name] for name in (*_KNOWN, "path_column")}
            file.as_before = before["settled"] and (file.key, file.location) == (before["key"], before["location"])

    def _mark(self, rules_hash: str, path: str) -> str:
        """The rules that a file is read by, with what its path adds to them."""
        values = [folder for folder in path.split("/")[:-1] if partition_keys(f"{folder}/")]
        other = self._variant(path)
        return f"{rules_hash}-{_digest(values, other)}" if values or other else rules_hash

    def _summarise(
        self,
        summarise: Summarise,
        schema: Schema,
        keys: tuple[str, ...],
        files: list[FoundFile],
    ) -> None:
        schema_id = _digest(schema, keys)
        try:
            columns, name = schema_of(self._backend, schema), f"new {schema_id}"
            rules_hash = hash_rules(self._backend, summarise, self._rules_text, columns, name)
        except LakeError as error:
            for file in files:
                file.facts |= {"schema_id": schema_id, "reason": _as_reason(error)}
            return
        for file in files:
            mark = self._mark(rules_hash, file.path)
            file.facts |= {"schema_id": schema_id, "rules_hash": mark, "reason": "it has no rows"}
        try:
            self._read(summarise, schema, keys, files)
        except duckdb.Error as error:
            raise_unless_of_a_file(error)
            for file in files:
                try:
                    self._read(summarise, schema, keys, [file])
                except duckdb.Error as error:
                    otherwise = f"its data cannot be read ({first_line(error)}): write or copy it again"
                    file.facts |= facts_of(error, otherwise)

    def _read(self, summarise: Summarise, schema: Schema, keys: tuple[str, ...], files: list[FoundFile]) -> None:
        columns = schema_of(self._backend, schema)

        def compile_summary() -> str:
            return compile_sql(self._backend, summarise(ibis.table(columns, name=_ROWS_OF_FILES)))

        query = _kept("summary", self._rules_text, columns, compile_summary)
        by_path = {file.path: file for file in files}
        names, summary = ask(self._backend, query.replace(quote(_ROWS_OF_FILES), f"({self._select(files, keys)})"))
        for values in summary:
            found = dict(zip(names, values, strict=True))
            facts = by_path[found.pop("source_file")].facts
            facts.pop("reason", None)
            if (conflict := found.pop("partition_conflict")) is not None:
                facts["reason"] = conflict
            else:
                facts |= found

    def _select(self, files: list[FoundFile], keys: tuple[str, ...]) -> str:
        return select_rows(self._store.root, [file.path for file in files], keys, files[0].facts["path_column"])

    def _as_table(self, known: _Known) -> ir.Table:
        """The facts as a table; those that are as they were come from the manifest."""
        listed = [file for file in self.files if not file.as_before]
        query = query_rows((file.facts for file in listed), FACTS)
        if len(listed) < len(self.files):
            other = known.keys() - {file.path for file in self.files if file.as_before}
            query += f" UNION ALL {_of_manifest(FACTS)}"
            query += f" AND f.path NOT IN ({', '.join(map(literal, other))})" if other else ""
        self._backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE inspected_raw_files AS {query}")
        namespace = ops.Namespace(catalog="temp", database="main")
        schema = schema_of(self._backend, list(FACTS.items()))
        return ops.DatabaseTable("inspected_raw_files", schema, self._backend, namespace).to_expr()


class _CurrentRules:
    """The rules that files of a known schema would be read by now."""

    def __init__(self, backend: Any, summarise: Summarise, rules: str) -> None:
        self._backend = backend
        self._summarise = summarise
        self._rules = rules
        self._hashes: dict[str, str | None] = {}

    def hash(self, schema_id: str) -> str | None:
        """The hash of the rules, or None where they no longer read such files."""
        if schema_id not in self._hashes:
            columns = columns_of(self._backend, "raw", f"parquet_{schema_id}")
            schema, name = schema_of(self._backend, columns), f"known {schema_id}"
            try:
                self._hashes[schema_id] = hash_rules(self._backend, self._summarise, self._rules, schema, name)
            except LakeError:
                self._hashes[schema_id] = None
        return self._hashes[schema_id]


def _of_manifest(columns: Iterable[str]) -> str:
    """A query for what is known of the files that were there last time."""
    names = ", ".join(f"{'k' if name in _KEPT_APART else 'f'}.{name}" for name in columns)
    return (
        f"SELECT {names} FROM raw.files AS f JOIN lake_state.file_keys AS k ON f.path = k.path "
        "WHERE f.status IN ('accepted', 'quarantined')"
    )


def hash_rules(backend: Any, summarise: Summarise, rules: str, schema: ibis.Schema, name: str) -> str:
    """Hash of everything that decides how files of a schema are read, down to the rules of staging."""

    def compute() -> str:
        summary = summarise(ibis.table(schema, name="file"))
        return remembered(backend, f"rules of {name}", summary, lambda: _digest(backend.compile(summary)))

    return _kept("rules", rules, schema, compute)


def _kept(what: str, rules: str, schema: ibis.Schema, compute: Callable[[], str]) -> str:
    """What follows from the rules, as a text that says all of them, and the columns of a file."""
    return resident.kept((what, rules, schema), compute) if rules else compute()


def _as_reason(error: LakeError) -> str:
    return f"{error.what}: {error.next_step}" if error.next_step else error.what


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
