"""SQL that reads the rows of Parquet files of one schema, with the path that each row came from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from bioreactor_lake.sql import literal, quote

PARTITION = "partition "
_PATH = "bioreactor_lake_path"


def select_rows(root: Path, paths: Iterable[str], keys: Iterable[str]) -> str:
    """A query for the rows of files of one schema. Grain: one row per raw row.

    Columns are those of the files, `partition <key>` for each key of a hive-partitioned path (as text, so that
    `batch_id=00042` stays what it is, and beside the file's own column rather than over it), and `source_file`, the
    path under the root.

    Args:
        root: The raw folder.
        paths: Paths under it.
        keys: Partition keys of their paths.
    """
    path = f"substr({quote(_PATH)}, {len(root.as_posix().rstrip('/')) + 2})"
    partitions = "".join(
        f", nullif(url_decode(regexp_extract({path}, {literal(f'(?:^|/){re.escape(key)}=([^/]*)/')}, 1)), "
        f"'__HIVE_DEFAULT_PARTITION__') AS {quote(PARTITION + key)}"
        for key in keys
    )
    return (
        f"SELECT COLUMNS(lambda c: lower(c) NOT IN ('source_file', {literal(_PATH)})){partitions}, "
        f"{path} AS source_file FROM read_parquet({list_paths(root, paths)}, filename = {literal(_PATH)}, "
        "hive_partitioning = false)"
    )


def list_paths(root: Path, paths: Iterable[str]) -> str:
    """An SQL list of absolute paths in which no character is taken for a glob's."""
    plain = (re.sub(r"([*?[])", r"[\1]", (root / path).as_posix()) for path in paths)
    return f"[{', '.join(map(literal, plain))}]"


def partition_keys(path: str) -> tuple[str, ...]:
    """Keys of the `key=value` folders of a path, in their order.

    >>> partition_keys("site=Basel/batch_id=00042/part-0.parquet")
    ('site', 'batch_id')
    """
    folders = path.split("/")[:-1]
    return tuple(folder.split("=", 1)[0] for folder in folders if re.fullmatch(r"[^=]+=.*", folder))
