"""Reading few of the raw files through the views that list them all.

To bind a view of 5,000 files takes DuckDB half a second, whichever of them a filter leaves. The views of the raw files
therefore take their list from a variable of the session where that is set. It is set for the length of one statement
that needs the files of some batches only; elsewhere the views read all. A view over them that looks at several rows
together would give other rows of fewer files: then nothing is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import ibis.expr.types as ir

from bioreactor_lake.datasets import holdings, known_in_run
from bioreactor_lake.lake.logic import keyed_leaves, name_leaf
from bioreactor_lake.lake.row_wise import is_row_wise
from bioreactor_lake.sql import escape_glob, literal


def variable_of(schema_id: str) -> str:
    """The variable that the view of the files of a schema listens to."""
    return f"bioreactor_lake_files_{schema_id}"


def remember_row_wise(backend: Any, name: str, data: ir.Table) -> None:
    """Keep whether a view treats each row by itself; part of the transaction that writes it."""
    is_known = name in _row_wise(backend)
    if is_known == is_row_wise(data):
        return
    known_in_run.forget("row-wise")
    backend.raw_sql("CREATE TABLE IF NOT EXISTS lake_state.row_wise (name VARCHAR)")
    if is_known:
        backend.raw_sql(f"DELETE FROM lake_state.row_wise WHERE name = {literal(name)}")
    else:
        backend.raw_sql(f"INSERT INTO lake_state.row_wise VALUES ({literal(name)})")


def reads_files_only(backend: Any, data: ir.Table) -> bool:
    """Whether all rows with batches come from raw files, each by itself, so that some files give their rows."""
    return all(_is_of_files(backend, name_leaf(leaf)) for leaf in keyed_leaves(data))


def can_be_restricted(backend: Any, data: ir.Table) -> bool:
    """Whether fewer raw files give the rows of their batches; tables have rows of their own, whatever is set."""
    views = [name for name in map(name_leaf, keyed_leaves(data)) if not _is_table(backend, name)]
    return bool(views) and all(_is_of_files(backend, name) for name in views)


def _is_table(backend: Any, name: str) -> bool:
    found = holdings.relation_of(backend, name)
    return found is not None and found[0] in ("table", holdings.EXTRACTED)


def _is_of_files(backend: Any, name: str) -> bool:
    found = holdings.relation_of(backend, name) if name in _row_wise(backend) else None
    if found is None:
        return False
    kind, _, upstreams, others = found
    if others:
        return False
    return kind == "raw" or (bool(upstreams) and all(_is_of_files(backend, upstream) for upstream in upstreams))


def _row_wise(backend: Any) -> set[str]:
    """The views that treat each row by itself."""

    def ask() -> set[str]:
        try:
            return {name for (name,) in backend.raw_sql("SELECT name FROM lake_state.row_wise").fetchall()}
        except duckdb.CatalogException:
            return set()

    return known_in_run.known(backend, ("row-wise",), ask)


@contextmanager
def restricted(backend: Any, data: ir.Table, batches: Sequence[str]) -> Iterator[None]:
    """Let the connection read no raw file but those that hold some batches.

    Args:
        backend: The warehouse.
        data: What will be read; nothing is set unless all of it comes from raw files, row by row, or from tables.
        batches: The batches, which the statement itself filters by as well.
    """
    files = holdings.raw_files_of(backend, batches) if can_be_restricted(backend, data) else {}
    try:
        for schema_id, paths in files.items():
            listed = ", ".join(literal(escape_glob(path)) for path in paths)
            backend.raw_sql(f"SET VARIABLE {variable_of(schema_id)} = [{listed}]")
        yield
    finally:
        for schema_id in files:
            backend.raw_sql(f"RESET VARIABLE {variable_of(schema_id)}")
