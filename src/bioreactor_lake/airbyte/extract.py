"""What runs in PyAirbyte's environment: extracts streams and writes what is new of them as Parquet.

It is told what to do, secrets included, by a line of JSON on its standard input, and answers by one on its standard
output. What it extracted stays in its cache until it hears, by a second line, that it has landed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Do what the first line says."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is said is for the log
    task = json.loads(sys.stdin.readline())
    for path in (Path(task["cache"]).parent, Path(task["into"])):
        path.mkdir(parents=True, exist_ok=True)
    modes = _extract(task)
    extracted = _write(task, modes)
    answers.write(json.dumps(extracted) + "\n")
    answers.flush()
    if sys.stdin.readline().strip() == "landed":
        _forget(task["cache"], [one["table"] for one in extracted])


def _extract(task: dict[str, Any]) -> dict[str, str]:
    """Bring what is new of the streams into the cache; how each of them is extracted, by name."""
    import sqlalchemy
    from airbyte.caches import DuckDBCache  # type: ignore[import-not-found]

    import airbyte as ab  # type: ignore[import-not-found]
    from airbyte import types

    # Values stay as the connector spells them: as a time, one with an offset would lose it; as a decimal, a number its
    # tenth digit.
    nested = ("object", "array", "vector_array")
    types.CONVERSION_MAP.update({kind: sqlalchemy.types.VARCHAR for kind in types.CONVERSION_MAP if kind not in nested})
    source = ab.get_source(
        task["connector"], config=task["config"], local_executable=task["executable"], streams=task["streams"]
    )
    if missing := sorted(set(task["streams"]) - set(source.get_available_streams())):
        raise SystemExit(f"The connector has no stream {', '.join(missing)}.")
    chosen = {one.stream.name: one.sync_mode.value for one in source.get_configured_catalog().streams}
    cache = DuckDBCache(db_path=task["cache"])
    source.read(cache=cache, force_full_refresh=task["full"])
    tables = {name: cache.processor.get_sql_table_name(name) for name in chosen}
    cache.get_sql_engine().dispose()
    task["tables"] = tables
    return {name: "full_refresh" if task["full"] else mode for name, mode in chosen.items()}


def _write(task: dict[str, Any], modes: dict[str, str]) -> list[dict[str, Any]]:
    import duckdb

    found = []
    with duckdb.connect(task["cache"]) as connection:
        for number, (name, mode) in enumerate(sorted(modes.items())):
            table = _quote(task["tables"][name])
            kinds = {column: kind for column, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall()}
            own = [_quote(column) for column in kinds if not column.startswith("_airbyte_")]
            # PyAirbyte keeps its own times as UTC without a zone.
            shown = [
                f"timezone('UTC', {_quote(column)}) AS {_quote(column)}"
                if column.startswith("_airbyte_") and kind == "TIMESTAMP"
                else _quote(column)
                for column, kind in kinds.items()
            ]
            into = Path(task["into"]) / f"{number}.parquet"
            connection.execute(
                f"COPY (SELECT {', '.join(shown)} FROM {table} ORDER BY _airbyte_extracted_at, _airbyte_raw_id) "
                f"TO '{str(into).replace(chr(39), chr(39) * 2)}' (FORMAT parquet, COMPRESSION snappy)"
            )
            records, digest = connection.execute(
                f"SELECT count(*), bit_xor(hash({', '.join(own)}))::VARCHAR FROM {table}"
            ).fetchone() or (0, None)
            found.append(
                {"stream": name, "mode": mode, "table": task["tables"][name], "file": str(into), "records": records,
                 "digest": f"{records}-{digest}"}
            )  # fmt: skip
    return found


def _forget(cache: str, tables: list[str]) -> None:
    import duckdb

    with duckdb.connect(cache) as connection:
        for table in tables:
            connection.execute(f"DELETE FROM {_quote(table)}")


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


if __name__ == "__main__":
    main()
