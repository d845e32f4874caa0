"""The views `raw.parquet_<schema_id>`: what is read of the accepted files of one schema.

They are defined in the transaction that writes the manifest, so that the two cannot differ. Where small files were
compacted, a view reads the copies in their place, except for the length of a statement that names the files it wants.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from bioreactor_lake.datasets.compaction import copies_of, read_copies
from bioreactor_lake.datasets.parquet_rows import partition_keys, select_rows
from bioreactor_lake.datasets.raw_restriction import variable_of
from bioreactor_lake.sql import literal, quote

PARQUET_VIEW = "parquet_"
_SCHEMA = "raw"


def define_views(backend: Any, root: str) -> None:
    """Define a view for each schema that an accepted file has.

    Args:
        backend: The warehouse, after its manifest was written.
        root: The raw folder or URL.
    """
    schemas: dict[tuple[str, str], list[str]] = defaultdict(list)
    for schema_id, column, path in backend.raw_sql(
        "SELECT f.schema_id, k.path_column, f.path FROM raw.files AS f JOIN lake_state.file_keys AS k USING (path) "
        "WHERE f.status = 'accepted' ORDER BY f.path"
    ).fetchall():
        schemas[schema_id, column].append(path)
    for (schema_id, column), paths in schemas.items():
        query = _select(backend, root, schema_id, column, paths)
        backend.raw_sql(f"CREATE OR REPLACE VIEW {_SCHEMA}.{quote(PARQUET_VIEW + schema_id)} AS {query}")
    _retire_views(backend, keep={PARQUET_VIEW + schema_id for schema_id, _ in schemas})


def _select(backend: Any, root: str, schema_id: str, column: str, paths: list[str]) -> str:
    variable = variable_of(schema_id)
    locations, copied = copies_of(backend, schema_id)
    if not locations:
        return select_rows(root, paths, partition_keys(paths[0]), column, variable=variable)
    rest = [path for path in paths if path not in copied]
    # DuckDB drops the branch whose condition is false before it reads, but a list of files must not be empty.
    originals = select_rows(root, rest or paths[:1], partition_keys(paths[0]), column, variable=variable)
    named = f"getvariable({literal(variable)}) IS NOT NULL"
    if not rest:
        originals = f"SELECT * FROM ({originals}) WHERE {named}"
    return f"{originals} UNION ALL SELECT * FROM {read_copies(locations)} WHERE NOT ({named})"


def _retire_views(backend: Any, keep: set[str]) -> None:
    """Empty the views of schemas that no accepted file has; drop those that `raw.bioreactor` no longer reads.

    Dropping them at once would break `raw.bioreactor` until its own node has run.
    """
    views = dict(
        backend.raw_sql(f"SELECT view_name, sql FROM duckdb_views() WHERE schema_name = {literal(_SCHEMA)}").fetchall()
    )
    for name in set(views) - keep:
        if not name.startswith(PARQUET_VIEW):
            continue
        target = f"{_SCHEMA}.{quote(name)}"
        if not any(re.search(rf"\b{name}\b", sql) for other, sql in views.items() if other != name):
            backend.raw_sql(f"DROP VIEW {target}")
            continue
        columns = backend.raw_sql(
            "SELECT column_name, data_type FROM duckdb_columns() "
            f"WHERE schema_name = {literal(_SCHEMA)} AND table_name = {literal(name)} ORDER BY column_index"
        ).fetchall()
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quote(column)}" for column, kind in columns)
        backend.raw_sql(f"CREATE OR REPLACE VIEW {target} AS SELECT {empty} WHERE false")
