"""What Kedro-Viz shows of a node: the columns of the table that it computes, where they come from, and the SQL.

A table has one preview, which is its rows; so what is to be said of its columns is said at the node that makes it. All
of it is computed when somebody looks, from the expression that a run would save.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from textwrap import wrap
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.preview_contract import TextPreview
from sqlglot import exp

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.expressions import schema_of
from bioreactor_lake.datasets.extracted_tables import ExtractedTableDataset
from bioreactor_lake.datasets.landed_files import LandedFilesDataset
from bioreactor_lake.datasets.manifest import ManifestDataset
from bioreactor_lake.datasets.tracing import collect_expressions
from bioreactor_lake.errors import LakeError, find_lake_error
from bioreactor_lake.lineage.columns import trace_columns
from bioreactor_lake.lineage.origins import ROWS, ColumnLineage, ColumnOrigin, TableLineage

_WIDTH = 88
_LISTED = 10
_BEGIN = "/*\n"
_INDENT = "    "
_INSPECTED = (
    "No SQL computes it: it is found by inspection. A raw file that is new or changed is read once, by the rules that "
    "staging reads it by, and accepted, or quarantined with the reason; what is known of the others is kept."
)
_LANDED = (
    "No SQL computes it: landed files that are new or changed are read once, each by its file profile, and become raw "
    "files, one for each batch of a source."
)
_EXTRACTED = (
    "No SQL of the warehouse computes it: it holds the records of all sources as they are by the extracts that have "
    "landed. Which of their columns mean what is said in parameters_sources.yml."
)


def preview_node(catalog: CatalogProtocol[Any, Any], pipeline: Pipeline, name: str) -> TextPreview:
    """The columns of a node's table, their origins, and DuckDB's SQL of the whole table; or why they cannot be told.

    Where there is a statement, all else is a comment in it, so that the text can be run as it is.

    Args:
        catalog: The project's catalog.
        pipeline: All nodes.
        name: The node's name.
    """
    (node,) = (node for node in pipeline.nodes if node.name == name)
    outputs = [catalog[output] for output in node.outputs if output in catalog]
    tables = [dataset for dataset in outputs if hasattr(dataset, "warehouse_config")]
    text = "\n".join(_tell(catalog, pipeline.to_nodes(name), table) for table in tables)
    if not text.startswith(_BEGIN):
        return TextPreview(text or "It makes no table of the lake, so there is no SQL of it.")
    # Kedro-Viz shows a text in one width, and with its indents, only in a language that it can colour. SQL is none of
    # them; JavaScript is, and has the same comments, strings and numbers.
    return TextPreview(text, meta={"language": "javascript"})


def _tell(catalog: CatalogProtocol[Any, Any], pipeline: Pipeline, table: Any) -> str:
    title = f"{table.qualified_name}: {table.description}"
    try:
        with warehouse.glance(table.warehouse_config):
            if isinstance(table, ManifestDataset):
                return "\n".join([title, "", _INSPECTED, "", *_say_columns(table, table.load().schema())])
            if isinstance(table, LandedFilesDataset | ExtractedTableDataset):
                columns = schema_of(warehouse.connect(table.warehouse_config), [*table.column_types.items()])
                made = _LANDED if isinstance(table, LandedFilesDataset) else _EXTRACTED
                return "\n".join([title, "", made, "", *_say_columns(table, columns)])
            data = collect_expressions(catalog, pipeline)[table.qualified_name]
            query = spell(warehouse.connect(table.warehouse_config), data)
            comment = _lay_out([title, "", *_say_columns(table, data.schema(), _trace(data))])
    except (LakeError, DatasetError, duckdb.Error) as error:
        return f"{title}\n\n{find_lake_error(error) or error}"
    # What an expression holds must not begin or end a comment.
    comment = comment.replace("*/", "* /").replace("/*", "/ *")
    return f"{_BEGIN}{comment}\n*/\n\n{query};\n"


def _trace(data: ir.Table) -> TableLineage | str:
    try:
        return trace_columns(data)
    except LakeError as error:
        return error.what


def spell(backend: Any, data: ir.Table) -> str:
    """DuckDB's SQL of a whole expression, for people: indented, and quoted only where DuckDB needs it.

    Args:
        backend: The warehouse, whose DuckDB knows its own keywords.
        data: The expression.
    """
    kept = {
        word
        for (word,) in backend.raw_sql(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
        ).fetchall()
    }

    def unquote(part: exp.Expression) -> exp.Expression:
        if isinstance(part, exp.Identifier) and re.fullmatch("[a-z_][a-z0-9_]*", part.name) and part.name not in kept:
            part.set("quoted", False)
        return part

    statement = backend.compiler.to_sqlglot(data.unbind()).transform(unquote)
    return str(statement.sql(backend.dialect, pretty=True))


def _say_columns(table: Any, schema: ibis.Schema, lineage: TableLineage | str = "") -> Iterator[str]:
    """Lines about each column; of its origins where they are known, else at the end why they are not."""
    for column in table.describe_columns(schema):
        yield f"{column.name} ({column.kind}): {column.description}".removesuffix(": ")
        if isinstance(lineage, TableLineage):
            yield _INDENT + _say_origins(lineage.columns[column.name])
    if isinstance(lineage, TableLineage):
        yield f"rows ← {_say_places(lineage.rows)}"
    elif lineage:
        yield f"Where they come from is not known. {lineage}"


def _say_origins(lineage: ColumnLineage) -> str:
    if not lineage.origins:
        return f"= {lineage.expression}"
    is_copy = [(one.is_direct, one.column) for one in lineage.origins] == [(True, lineage.expression)]
    return f"← {_say_places(lineage.origins)}" + ("" if is_copy else f": {lineage.expression}")


def _say_places(origins: Sequence[ColumnOrigin]) -> str:
    """The columns and rows that give values and, after them, those that only decide."""
    direct = dict.fromkeys(_say_place(one) for one in origins if one.is_direct)
    others = dict.fromkeys(_say_place(one) for one in origins if not one.is_direct and _say_place(one) not in direct)
    decided = f"decided by {_list(others)}" if others else ""
    return "; ".join(part for part in (_list(direct), decided) if part)


def _list(places: Collection[str]) -> str:
    """The first few of many: each file schema is a table that raw rows come from."""
    more = len(places) - _LISTED
    return ", ".join(islice(places, _LISTED)) + (f" and {more} more" if more > 0 else "")


def _say_place(origin: ColumnOrigin) -> str:
    return f"rows of {origin.table}" if origin.column == ROWS else f"{origin.table}.{origin.column}"


def _lay_out(lines: Sequence[str]) -> str:
    """Lines of no more than a width, which the panel would not break."""
    laid_out: list[str] = []
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())] + _INDENT
        laid_out += wrap(line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(laid_out)
