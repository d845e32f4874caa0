"""SQL that reads the rows of Parquet files of one schema, with the path that each row came from."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bioreactor_lake.sql import escape_glob, literal, quote

PARTITION = "partition "


def path_column(columns: Iterable[str]) -> str:
    """The column for DuckDB to put a file's path into: `filename`, by which alone it passes over files, if it is free.

    >>> path_column(["ts", "value"]), path_column(["ts", "FileName"])
    ('filename', 'bioreactor_lake_path')
    """
    return "bioreactor_lake_path" if any(name.lower() == "filename" for name in columns) else "filename"


def select_rows(
    root: str, paths: Iterable[str], keys: Iterable[str], path_column: str, *, variable: str | None = None
) -> str:
    """A query for the rows of files of one schema. Grain: one row per raw row.

    Columns are those of the files, `partition <key>` for each key of a hive-partitioned path (as text, so that
    `batch_id=00042` stays what it is, and beside the file's own column rather than over it), and `source_file`, the
    path under the root.

    Args:
        root: The raw folder or URL, without a slash at its end.
        paths: Paths under it.
        keys: Partition keys of their paths.
        path_column: As found by `path_column`.
        variable: A variable of the session that lists other paths where it is set.
    """
    path = f"substr({quote(path_column)}, {len(root) + 2})"
    option = "filename = true" if path_column == "filename" else f"filename = {literal(path_column)}"
    partitions = "".join(
        f", nullif(url_decode(regexp_extract({path}, {literal(f'(?:^|/){re.escape(key)}=([^/]*)/')}, 1)), "
        f"'__HIVE_DEFAULT_PARTITION__') AS {quote(PARTITION + key)}"
        for key in keys
    )
    listed = list_paths(root, paths)
    if variable is not None:
        given = f"CAST(getvariable({literal(variable)}) AS VARCHAR[])"
        listed = f"coalesce(list_transform({given}, lambda p: {literal(escape_glob(f'{root}/'))} || p), {listed})"
    return (
        f"SELECT COLUMNS(lambda c: lower(c) NOT IN ('source_file', {literal(path_column)})){partitions}, "
        f"{path} AS source_file FROM read_parquet({listed}, {option}, "
        "hive_partitioning = false)"
    )


def list_paths(root: str, paths: Iterable[str]) -> str:
    """An SQL list of full paths in which no character is taken for a glob's."""
    base = escape_glob(f"{root}/")
    return f"[{', '.join(literal(base + escape_glob(path)) for path in paths)}]"


def partition_keys(path: str) -> tuple[str, ...]:
    """Keys of the `key=value` folders of a path, in their order.

    >>> partition_keys("site=Basel/batch_id=00042/part-0.parquet")
    ('site', 'batch_id')
    """
    folders = path.split("/")[:-1]
    return tuple(folder.split("=", 1)[0] for folder in folders if re.fullmatch(r"[^=]+=.*", folder))
