"""Parquet footers: the schemas that raw files share, and what the lack of a footer says about a file."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import duckdb

from bioreactor_lake.datasets.faults import ask, facts_of, first_line, raise_unless_of_a_file
from bioreactor_lake.datasets.parquet_rows import list_paths, partition_keys, path_column, select_rows
from bioreactor_lake.raw_store import FoundFile, RawStore

Schema = tuple[tuple[str, str], ...]
Footer = tuple[Any, ...]


def group_by_schema(
    backend: Any, store: RawStore, files: list[FoundFile]
) -> list[tuple[Schema, tuple[str, ...], list[FoundFile]]]:
    """Sound files by their column names and DuckDB types, and by the partition keys of their paths.

    A file that is sound gets its `path_column`, one that is not its `reason`.

    Args:
        backend: DuckDB connection that reads them.
        store: Where they lie.
        files: The files.

    Raises:
        LakeError: The machine or the network was at fault.
    """
    footers: dict[Footer, list[FoundFile]] = defaultdict(list)
    for file, footer in _footers(backend, store, files):
        names = _top_level(footer)
        file.facts["path_column"] = path_column(names)
        if doubled := _differing_in_case(names):
            first, second = doubled
            file.facts["reason"] = f"columns {first!r} and {second!r} differ in case only: rename one of them"
        else:
            footers[footer, partition_keys(file.path)].append(file)
    groups: dict[tuple[Schema, tuple[str, ...]], list[FoundFile]] = defaultdict(list)
    for (_, keys), alike in footers.items():
        query = select_rows(store.root, [alike[0].path], keys, alike[0].facts["path_column"])
        try:
            _, described = ask(backend, f"DESCRIBE {query}")
        except duckdb.Error as error:
            for file in alike:
                file.facts |= facts_of(error, f"its columns cannot be read ({first_line(error)}): write it again")
            continue
        groups[tuple((name, kind) for name, kind, *_ in described), keys].extend(alike)
    return [(schema, keys, alike) for (schema, keys), alike in groups.items()]


def _footers(backend: Any, store: RawStore, files: list[FoundFile]) -> list[tuple[FoundFile, Footer]]:
    try:
        return _read_footers(backend, store, files)
    except duckdb.Error as error:
        raise_unless_of_a_file(error)
        readable = []
        for file in files:
            try:
                readable += _read_footers(backend, store, [file])
            except duckdb.Error as error:
                file.facts |= facts_of(error, "")
                file.facts["reason"] = file.facts["reason"] or _why_not_parquet(store, file, error)
        return readable


def _read_footers(backend: Any, store: RawStore, files: list[FoundFile]) -> list[tuple[FoundFile, Footer]]:
    if not files:
        return []
    source = list_paths(store.root, [file.path for file in files])
    _, rows = ask(
        backend,
        "SELECT file_name, name, type, num_children, CAST(logical_type AS VARCHAR), converted_type, type_length "
        f"FROM parquet_schema({source})",
    )
    by_name: dict[str, list[Any]] = defaultdict(list)
    for name, *element in rows:
        by_name[name].append(tuple(element))
    return [(file, tuple(by_name[file.location])) for file in files]


def _why_not_parquet(store: RawStore, file: FoundFile, error: Exception) -> str:
    """Why a file could not be opened as Parquet and what to do, from its first bytes and DuckDB's error."""
    try:
        start = store.read_start(file, 4)
    except OSError as gone:
        return f"cannot be read: {gone}"
    if not start:
        return "the file is empty (0 bytes): write or copy it again"
    if start != b"PAR1":
        return "it is not a Parquet file: convert it, or move it out of the raw folder"
    return f"the file is cut off or damaged ({first_line(error)}): wait until it is whole, or copy it again"


def _differing_in_case(names: list[str]) -> tuple[str, str] | None:
    """Two columns that DuckDB cannot tell apart, or None."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) is not name:
            return other, name
    return None


def _top_level(footer: Footer) -> list[str]:
    """The columns of a footer's tree, which lists each element before its children."""
    names, position = [], 1
    for _ in range(footer[0][2] or 0):
        names.append(footer[position][0])
        position = _next_sibling(footer, position)
    return names


def _next_sibling(footer: Footer, position: int) -> int:
    children = footer[position][2] or 0
    position += 1
    for _ in range(children):
        position = _next_sibling(footer, position)
    return position
