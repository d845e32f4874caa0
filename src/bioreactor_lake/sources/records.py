"""Records of extracts as DuckDB reads them: the newest version of each, its columns as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bioreactor_lake.errors import LakeError
from bioreactor_lake.sources.extracts import RECORD, Extract, current
from bioreactor_lake.sources.source import ExtractedTable
from bioreactor_lake.sql import escape_glob, literal, quote

Query = Callable[[str], Any]
"""Runs SQL on DuckDB, in a session whose zone is UTC."""

ID, PATH = "record_id", "extract"
"""Columns that every record has besides those that are asked for."""


class UnreadableExtract(LakeError):  # noqa: N818 - the state of a file, kept as its reason
    """An extract cannot be read as Parquet."""


def select_current(
    query: Query, table: ExtractedTable, extracts: Sequence[Extract], columns: Mapping[str, str], *, is_rest: bool
) -> str:
    """A query for the records of a table as they are now, by the extracts that have landed.

    Args:
        query: Runs SQL.
        table: The table.
        extracts: All its extracts, in order; at least one.
        columns: Names to columns of the extracts, or to paths in a record of a REST API, `*` for all of it. A column
            that an extract does not have is null.
        is_rest: Whether they are of a REST API.

    Raises:
        UnreadableExtract: A file is no Parquet.
    """
    parts = []
    for files in _by_shape(query, current(extracts)):
        known, paths = files
        wanted = {name: _text(column, known, is_rest) for name, column in columns.items()}
        listed = ", ".join(literal(escape_glob(one.location)) for one in paths)
        key = _record_id([_text(column, known, is_rest) for column in table.key])
        chosen = ", ".join(f"{text} AS {quote(name)}" for name, text in wanted.items())
        names = ", ".join(f"{literal(one.location)}: {literal(one.path)}" for one in paths)
        parts.append(
            f"SELECT {key} AS {ID}, MAP {{{names}}}[filename] AS {PATH}, file_row_number AS row_in_extract"
            f"{', ' if chosen else ''}{chosen} FROM read_parquet([{listed}], filename = true, file_row_number = true, "
            "hive_partitioning = false)"
        )
    # The number in a path has leading zeros, so that later extracts sort last.
    newest = f"row_number() OVER (PARTITION BY {ID} ORDER BY {PATH} DESC, row_in_extract DESC) = 1"
    return f"SELECT * EXCLUDE (row_in_extract) FROM ({' UNION ALL '.join(parts)}) QUALIFY {newest}"


def columns_of(query: Query, extract: Extract) -> dict[str, str]:
    """The columns of an extract with DuckDB's types.

    Raises:
        UnreadableExtract: It is no Parquet.
    """
    location = literal(escape_glob(extract.location))
    rows = _ask(query, extract, f"DESCRIBE SELECT * FROM read_parquet({location}, hive_partitioning = false)")
    return {row[0]: row[1] for row in rows}


def count_rows(query: Query, extract: Extract) -> int:
    """The rows of an extract.

    Raises:
        UnreadableExtract: It is no Parquet.
    """
    location = literal(escape_glob(extract.location))
    return int(_ask(query, extract, f"SELECT count(*) FROM read_parquet({location})")[0][0])


def find_watermark(query: Query, table: ExtractedTable, extracts: Sequence[Extract], *, is_rest: bool) -> Any:
    """The newest value of a table's watermark among the rows that have landed; None where there is none.

    Times of a REST API are text, which may be in several zones: the latest is looked for, as it is spelled.
    """
    assert table.watermark is not None
    newest: Any = None
    for extract in current(extracts):
        known = columns_of(query, extract)
        if not is_rest and table.watermark not in known:
            continue
        value = _path_in_record(table.watermark) if is_rest else quote(table.watermark)
        # Numbers without bounds are text as well.
        order = _order(value) if is_rest or known[table.watermark] == "VARCHAR" else value
        location = literal(escape_glob(extract.location))
        time = f"try_cast({value} AS TIMESTAMP)"
        # Databases have times without end, after which nothing would be asked for.
        is_of_use = f"coalesce({time} BETWEEN '0001-01-01' AND '9999-12-31', true)"
        ((found,),) = _ask(
            query, extract, f"SELECT arg_max({value}, {order}) FILTER ({is_of_use}) FROM read_parquet({location})"
        )
        if found is not None and (newest is None or _is_later(query, found, newest)):
            newest = found
    return newest


def _is_later(query: Query, found: Any, newest: Any) -> bool:
    if isinstance(found, str) and isinstance(newest, str):
        return bool(query(f"SELECT {_order(literal(found))} >= {_order(literal(newest))}").fetchone()[0])
    # A column that has become another type is asked for by what it is now.
    return type(found) is not type(newest) or bool(found >= newest)


def _order(text: str) -> str:
    return (
        f"struct_pack(t := coalesce(try_cast({text} AS TIMESTAMPTZ), '-infinity'::TIMESTAMPTZ), "
        f"n := coalesce(try_cast({text} AS DOUBLE), '-infinity'::DOUBLE), s := {text})"
    )


def _by_shape(query: Query, extracts: Sequence[Extract]) -> list[tuple[dict[str, str], list[Extract]]]:
    """Extracts of the same columns together: one file's types must not change how another is read."""
    found: dict[tuple[tuple[str, str], ...], list[Extract]] = {}
    for extract in extracts:
        found.setdefault(tuple(columns_of(query, extract).items()), []).append(extract)
    return [(dict(shape), files) for shape, files in found.items()]


def _text(column: str, known: Mapping[str, str], is_rest: bool) -> str:
    if is_rest:
        return RECORD if column == "*" else _path_in_record(column)
    return f"CAST({quote(column)} AS VARCHAR)" if column in known else "NULL::VARCHAR"


def _path_in_record(path: str) -> str:
    steps = [f"[{step}]" if step.isdigit() else '."' + step.replace('"', "") + '"' for step in path.split(".")]
    return f"json_extract_string({RECORD}, {literal('$' + ''.join(steps))})"


def _record_id(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"to_json([{', '.join(parts)}])::VARCHAR"


def _ask(query: Query, extract: Extract, sql: str) -> list[Any]:
    import duckdb

    try:
        return list(query(sql).fetchall())
    except duckdb.Error as error:
        raise UnreadableExtract(
            f"The extract {extract.path} cannot be read: {str(error).splitlines()[0]}",
            next_step="Take it away, and ask for everything anew: kedro lake sync "
            f"{extract.source} {extract.table} --full",
        ) from error
